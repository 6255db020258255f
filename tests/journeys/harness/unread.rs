//! A log that nobody reads, as when whoever should take its lines stands still.

use std::io::{PipeReader, PipeWriter, Write as _};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What fills it; no line of a log has it.
pub(crate) const FILL: u8 = 0;

/// A pipe without room for one byte more: who writes to it waits until somebody reads.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    // A page at a time, and then what may be left of the last.
    for piece in [[FILL; 4096].as_slice(), [FILL].as_slice()] {
        while writer.write(piece).is_ok_and(|written| written > 0) {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}
