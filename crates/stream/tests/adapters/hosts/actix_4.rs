//! actix-web 4, with one worker.

use actix_web::{App, HttpRequest, HttpServer, web};
use fanfare_stream::{LastEventId, Sse};

use super::{Host, Visits, answer};

pub(crate) struct Actix4;

impl Actix4 {
    pub(crate) fn start() -> Host {
        Host::run(|listener, visits| {
            let app =
                move || App::new().app_data(web::Data::new(visits.clone())).default_service(web::to(handler));
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
            actix_web::rt::System::new().block_on(server.run()).unwrap();
        })
    }
}

async fn handler(request: HttpRequest, last: LastEventId, visits: web::Data<Visits>) -> Sse {
    answer(request.path(), &last, &visits)
}
