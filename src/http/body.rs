//! Reads a request's body whole, bounded in size before it is held, and in time; or leaves it.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
    web,
};
use futures::StreamExt;

use super::problem::Problem;

const WITHIN: Duration = Duration::from_secs(10);

/// The raw bytes as they came. An encoded body is refused: inflating comes before proof, and a signature covers bytes.
pub(super) async fn read(request: &HttpRequest, payload: &mut web::Payload, most: usize) -> Result<Vec<u8>, Problem> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::Encoded);
    }
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(Problem::TooLarge);
    }
    tokio::time::timeout(WITHIN, collect(payload, most)).await.unwrap_or(Err(Problem::Incomplete))
}

async fn collect(payload: &mut web::Payload, most: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::Incomplete)?;
        if body.len() + chunk.len() > most {
            return Err(Problem::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer to a request of whose body something may be left. Once a body in chunks is let go, the server reads it on for
/// as long as the sender likes; while it is held, the connection is closed when the answer is out.
pub(super) fn left(answer: HttpResponse, request: web::Payload) -> HttpResponse {
    answer.map_body(|_, answer| Left { answer, _request: request }.boxed())
}

struct Left {
    answer: BoxBody,
    _request: web::Payload,
}

impl MessageBody for Left {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        self.get_mut().answer.as_pin_mut().poll_next(cx)
    }
}
