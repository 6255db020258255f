//! People at the door: their factors, how they sign in, and their sessions.
//!
//! Who a person is and whether they are blocked stands in the records; what they may see is decided by the
//! pages. Nobody can sign in with one factor, and nobody is enrolled but at the terminal or by an invitation made there.

mod code;
mod enroll;
mod invite;
mod password;
mod session;
mod sign_in;
mod throttle;

pub use code::OneTime;
pub use enroll::{EnrollError, Enrolment, open_one_time};
pub use invite::{GOOD_FOR, InvitationError, Invitations, Invited, Letter, NotSent, invitation};
pub use password::{BadPassword, check_rules, hash, verify};
pub use session::{ABSOLUTE, IDLE, SignedIn};
pub use sign_in::{Attempt, CodeError, People, SignInError, form_fits};
pub use throttle::{Throttled, WINDOW};
