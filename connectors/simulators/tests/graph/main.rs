//! The simulated directory, told from outside: real HTTP on loopback, a clock that only moves when
//! a test moves it.

mod authz;
mod batch;
mod bench;
mod golden;
mod groups;
mod methods;
mod pim;
mod queries;
mod roles;
mod signin;
mod token;
mod users;
