//! Mail: who is told by it, in which words, and how it reaches the mail server.
//!
//! What happened is put into [`Words`], plain values that can be stored; [`Words::write`] makes subject, text and HTML of
//! them; [`Mailer::send`] hands one mail to the mail server of the `[mail]` table. Nothing here knows the store, the
//! rules or the queue. Whoever owes a mail does this:
//!
//! 1. In the transaction of what happened: store the [`Words`], as JSON, with an id for the mail.
//! 2. When the alert is due: [`Words::alert`] says under which switch of the rulebook it falls ([`AlertKind`](crate::rulebook::AlertKind)); `None` is
//!    a mail to the requester or to the operator, which has no switch. One mail row for each recipient.
//! 3. In a task for each row, outside any transaction: build [`Mail`] from the row and [`Mailer::send`] it. The row's id
//!    becomes the Message-ID, the row's time the date, so that a second try is the same mail. Then:
//!    - `Ok`: the server answers for it.
//!    - [`MailError::Later`]: try again, slower each time; when [`MailError::may_have_arrived`], set [`Mail::is_repeat`]
//!      for the next try and remember it with the row.
//!    - [`MailError::Refused`]: give this mail up, and say so where it is seen: an alert may be lost.
//!    - [`MailError::Setup`]: no mail gets through; keep it owed, try seldom, and show the sentence to the operator.
//!
//! The password is the sealed secret `mail/password`
//! ([`SecretName::MailPassword`](crate::registry::SecretName::MailPassword)), opened like that of a connection. A [`Mailer`] is made from settings and
//! password once and kept, since it keeps its connections; make a new one when the password changes.
//! [`Invitation`] carries a link that is worth an account until it is used: it is not stored, but written and sent.

mod address;
mod error;
mod kept;
mod line;
mod mailer;
mod message;
pub(crate) mod settings;
mod words;

use latchkey_contract::{MailId, Timestamp};

pub use address::{BadAddress, MailAddress, Sender};
pub use error::MailError;
pub use mailer::Mailer;
pub use settings::{Security, Settings};
pub use words::{About, Invitation, Named, Words, Written};

/// One mail to one recipient.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The row by which it is owed.
    pub id: MailId,
    /// To whom.
    pub to: MailAddress,
    /// What it says.
    pub written: Written,
    /// When what it tells happened; the same on every try.
    pub at: Timestamp,
    /// An earlier try may have arrived; the subject says so.
    pub is_repeat: bool,
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
