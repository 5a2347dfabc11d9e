//! actix-web 4, with one worker.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use fanfare_stream::{Accept, AcceptEncoding, LastEventId, Sse};

use super::{Host, ORDERS, Told, answer, orders};

pub(crate) struct Actix4;

impl Actix4 {
    pub(crate) fn start() -> Host {
        Host::run(|listener, told| {
            let json = || HttpResponse::Ok().content_type("application/json").body(ORDERS);
            let as_wished = move |accept: Accept| async move { accept.dual(orders, json) };
            let as_they_come = |accept: Accept| async move { accept.only(orders) };
            let app = move || {
                App::new()
                    .app_data(web::Data::new(told.clone()))
                    .route("/orders", web::get().to(as_wished))
                    .route("/orders-as-they-come", web::get().to(as_they_come))
                    .default_service(web::to(handler))
            };
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
            actix_web::rt::System::new().block_on(server.run()).unwrap();
        })
    }
}

async fn handler(
    request: HttpRequest,
    last: LastEventId,
    accepted: AcceptEncoding,
    told: web::Data<Told>,
) -> Sse {
    answer(request.path(), &last, &accepted, &told)
}
