use crate::random::Random;
use std::time::Duration;
pub fn wait(_attempt: u32, asked: Option<Duration>, _r: &dyn Random) -> Duration {
    asked.unwrap_or(Duration::from_secs(1))
}
