//! A mail as it goes over the wire.

use std::time::{Duration, SystemTime};

use lettre::{
    Message,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
};

use super::{Mail, Sender};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Tells other programs not to answer.
///
/// Source: RFC 3834, section 5.
#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, BoxError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The whole mail. Its Message-ID and date do not change from try to try, so that a mail that arrives twice is seen to
/// be one.
pub(super) fn compose(mail: &Mail, from: &Sender, our_host: &str) -> Result<Vec<u8>, BoxError> {
    let subject = &mail.written.subject;
    let subject = if mail.is_repeat { format!("{subject} (repeat)") } else { subject.clone() };
    let since_epoch = Duration::from_millis(u64::try_from(mail.at.millis()).unwrap_or(0));
    let message = Message::builder()
        .from(from.mailbox()?)
        .to(Mailbox::new(None, mail.to.as_str().parse()?))
        .subject(subject)
        .date(SystemTime::UNIX_EPOCH + since_epoch)
        .message_id(Some(format!("<{}@{our_host}>", mail.id)))
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(mail.written.text.clone(), mail.written.html.clone()))?;
    Ok(message.formatted())
}
