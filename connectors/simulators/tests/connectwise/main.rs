//! The ConnectWise simulator, asked from outside: real HTTP over TLS on loopback.

mod callbacks;
mod golden;
mod lists;
mod rest;
mod rules;
mod world;
