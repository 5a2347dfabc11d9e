//! What operators do about tokens that must not be honoured any more: revoke, list, lift.
//!
//! It reads and writes JSON; what a revocation does is the library's matter.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use fanfare_http::{HeldRevocation, Revocation, RevocationId, Revocations, RevokeError};
use fanfare_hub::PublishError;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// Serves `/admin/revocations`.
pub(crate) fn router(revocations: Revocations) -> Router {
    Router::new()
        .route("/admin/revocations", get(list).post(revoke))
        .route("/admin/revocations/{id}", delete(lift))
        .with_state(revocations)
}

/// What somebody wants revoked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Tokens of this subject,
    subject: Option<String>,
    /// or the token with this `jti`,
    token_id: Option<String>,
    /// that were issued before this moment: of that subject, or of everybody;
    issued_before: Option<Moment>,
    /// of this issuer alone, if it is given;
    issuer: Option<String>,
    /// until then, when they must have expired. Without it, until it is lifted.
    until: Option<Moment>,
}

impl Asked {
    fn revocation(self) -> Result<Revocation, &'static str> {
        let Self { subject, token_id, issued_before, issuer, until } = self;
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        if is_empty(&subject) || is_empty(&token_id) || is_empty(&issuer) {
            return Err("A name is empty.");
        }
        let revocation = match (subject, token_id, issued_before) {
            (Some(subject), None, _) => Revocation::of_subject(subject),
            (None, Some(id), _) => Revocation::of_token(id),
            (None, None, Some(Moment(time))) => Revocation::of_issued_before(time),
            (Some(_), Some(_), _) => return Err("Say either `subject` or `token_id`."),
            (None, None, None) => {
                return Err("Say whose tokens are revoked: `subject`, `token_id` or `issued_before`.");
            }
        };
        if until.is_some_and(|Moment(time)| time <= std::time::SystemTime::now()) {
            return Err("The moment in `until` has passed.");
        }
        let revocation = match issued_before {
            Some(Moment(time)) => revocation.issued_before(time),
            None => revocation,
        };
        let revocation = match issuer {
            Some(issuer) => revocation.issuer(issuer),
            None => revocation,
        };
        Ok(revocation.until(until.map(|Moment(time)| time)))
    }
}

#[derive(Serialize)]
struct Done {
    id: String,
    streams_cut: u64,
}

async fn revoke(
    State(revocations): State<Revocations>,
    asked: Result<Json<Asked>, JsonRejection>,
) -> Result<impl IntoResponse, Refused> {
    let Json(asked) = asked.map_err(|rejection| Refused(rejection.status(), rejection.body_text()))?;
    let revocation =
        asked.revocation().map_err(|sentence| Refused(StatusCode::BAD_REQUEST, sentence.to_owned()))?;
    let done = revocations.revoke(revocation).await?;
    tracing::info!(id = %done.id, streams_cut = done.streams_cut, "revoked tokens");
    Ok(Json(Done { id: done.id.to_string(), streams_cut: done.streams_cut }))
}

/// A revocation that holds.
#[derive(Serialize)]
struct Row {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Moment>,
    streams_cut: u64,
}

impl From<HeldRevocation> for Row {
    fn from(held: HeldRevocation) -> Self {
        let of = &held.revocation;
        Self {
            id: held.id.to_string(),
            subject: of.subject().map(str::to_owned),
            token_id: of.token_id().map(str::to_owned),
            issued_before: of.only_before().map(Moment),
            issuer: of.only_issuer().map(str::to_owned),
            until: of.over_at().map(Moment),
            streams_cut: held.streams_cut,
        }
    }
}

async fn list(State(revocations): State<Revocations>) -> impl IntoResponse {
    let mut rows: Vec<Row> = revocations.list().into_iter().map(Row::from).collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    ([(header::CACHE_CONTROL, "no-store")], Json(rows))
}

async fn lift(
    State(revocations): State<Revocations>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refused> {
    let none = || Refused(StatusCode::NOT_FOUND, "There is no such revocation.".to_owned());
    let id = RevocationId::parse(&id).ok_or_else(none)?;
    if !revocations.lift(id).await? {
        return Err(none());
    }
    tracing::info!(%id, "lifted a revocation");
    Ok(StatusCode::NO_CONTENT)
}

/// A status, and the sentence that goes with it.
struct Refused(StatusCode, String);

impl From<RevokeError> for Refused {
    fn from(error: RevokeError) -> Self {
        let status = match &error {
            RevokeError::Full { .. } => StatusCode::CONFLICT,
            RevokeError::NameTooLong { .. } | RevokeError::Log(PublishError::EventTooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self(status, format!("Nothing is known to be revoked: {error}{}.", cause.unwrap_or_default()))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, sentence) = self;
        (status, format!("{sentence}\n")).into_response()
    }
}
