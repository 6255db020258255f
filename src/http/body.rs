//! Reads a request's body whole, bounded in size before it is held, and in time.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH},
    web,
};
use futures::StreamExt;

use super::problem::Problem;

const WITHIN: Duration = Duration::from_secs(10);

/// The raw bytes as they came. An encoded body is refused: inflating comes before proof, and a signature covers bytes.
pub(super) async fn read(request: &HttpRequest, payload: web::Payload, most: usize) -> Result<Vec<u8>, Problem> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        return Err(Problem::Encoded);
    }
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(Problem::TooLarge);
    }
    tokio::time::timeout(WITHIN, collect(payload, most)).await.unwrap_or(Err(Problem::Incomplete))
}

async fn collect(mut payload: web::Payload, most: usize) -> Result<Vec<u8>, Problem> {
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
