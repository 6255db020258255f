//! Log lines on their way out: whoever logs queues them, and a thread of their own writes them. So nobody who logs
//! waits for whoever reads. Where nobody reads, lines are lost, counted, and told of when lines go through again.
//!
//! `tracing-appender` has no bound in bytes, does not count what could not be written, and may print at its end, which
//! never returns where standard output is the pipe that nobody reads.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{LogFormat, LogLevel, subscriber};

/// The counter of lines that were lost: there was no place in the queue, or they could not be written.
const LOST: &str = "log_lines_lost_total";

/// How much waits at most, besides as much again that is being written. No line is bounded by itself: one that has no
/// place any more is lost, however long it is.
const BOUNDS: Bounds = Bounds { lines: 16_384, bytes: 8 * 1024 * 1024 };

/// Until whoever cannot take any more just now is asked again.
const A_MOMENT: Duration = Duration::from_millis(10);

/// After lines were written: what comes meanwhile is written together, and who logs need not wake anybody. A line that
/// comes later does not wait.
const GATHERED_FOR: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy)]
struct Bounds {
    lines: usize,
    bytes: usize,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Lines {
    bounds: Bounds,
    /// Never held while anything is written.
    state: Mutex<State>,
    /// There is something to write.
    more: Condvar,
    /// There is nothing to write.
    through: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Lines, one after the other.
    waiting: Vec<u8>,
    lines: usize,
    /// Lost, and nobody was told.
    lost: u64,
    is_writing: bool,
    /// Nothing is being written, and who writes looks again without being woken.
    gathers: bool,
}

enum Next {
    /// All that waited, written at once.
    Lines(Vec<u8>),
    /// All others are through, and so many were lost.
    Lost(u64),
}

impl Lines {
    /// Starts the thread that writes; it ends with the process.
    pub(super) fn start(to: impl Write + Send + 'static, format: LogFormat, level: LogLevel) -> io::Result<Arc<Self>> {
        Self::start_within(BOUNDS, to, format, level)
    }

    fn start_within(
        bounds: Bounds,
        to: impl Write + Send + 'static,
        format: LogFormat,
        level: LogLevel,
    ) -> io::Result<Arc<Self>> {
        let lines = Arc::new(Self::within(bounds));
        let queue = Arc::clone(&lines);
        thread::Builder::new().name("log".to_owned()).spawn(move || queue.work(to, format, level))?;
        Ok(lines)
    }

    fn within(bounds: Bounds) -> Self {
        Self { bounds, state: Mutex::default(), more: Condvar::new(), through: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line, or loses it.
    pub(super) fn put(&self, line: &[u8]) {
        let mut state = self.state();
        let has_place = state.lines < self.bounds.lines && line.len() <= self.bounds.bytes - state.waiting.len();
        if has_place {
            state.waiting.extend_from_slice(line);
            state.lines += 1;
        } else {
            state.lost += 1;
        }
        // Who writes looks again before it rests.
        let rests = !state.is_writing && !state.gathers;
        drop(state);
        if rests {
            self.more.notify_one();
        }
        if !has_place {
            metrics::counter!(LOST).increment(1);
        }
    }

    /// Waits until all is written that was queued, but no longer than this.
    pub(super) fn flush(&self, within: Duration) {
        let is_under_way = |state: &mut State| state.is_writing || state.lines > 0;
        drop(self.through.wait_timeout_while(self.state(), within, is_under_way));
    }

    fn work(&self, mut to: impl Write, format: LogFormat, level: LogLevel) {
        let (mut goes_through, mut is_whole) = (true, true);
        loop {
            let (text, told) = match self.next(goes_through) {
                Next::Lines(text) => (text, 0),
                Next::Lost(lost) => (loss(lost, format, level), lost),
            };
            // Where half a line stands, what follows is not to be part of it.
            let begins = is_whole || write_out(&mut to, b"\n") == 1;
            let out = if begins { write_out(&mut to, &text) } else { 0 };
            is_whole = begins && (out == 0 || text[out - 1] == b'\n');
            goes_through = out == text.len();
            if !goes_through {
                // No room, or nobody there any more: the work that is logged goes on all the same.
                let lost = if told > 0 { told } else { lines_of(&text[out..]) };
                self.state().lost += lost;
                if told == 0 {
                    metrics::counter!(LOST).increment(lost);
                }
            }
            self.gather(goes_through);
        }
    }

    fn gather(&self, goes_through: bool) {
        let mut state = self.state();
        if goes_through && state.lost > 0 {
            return;
        }
        (state.is_writing, state.gathers) = (false, true);
        if state.lines == 0 {
            self.through.notify_all();
        }
        drop(state);
        thread::sleep(GATHERED_FOR);
        self.state().gathers = false;
    }

    /// What is to be written next. Of losses nobody is told before a line went through again.
    fn next(&self, goes_through: bool) -> Next {
        let mut state = self.state();
        loop {
            if state.lines > 0 {
                state.is_writing = true;
                state.lines = 0;
                return Next::Lines(mem::take(&mut state.waiting));
            }
            if goes_through && state.lost > 0 {
                state.is_writing = true;
                return Next::Lost(mem::take(&mut state.lost));
            }
            state.is_writing = false;
            self.through.notify_all();
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// As far as it goes; answers how many bytes went out.
fn write_out(to: &mut impl Write, text: &[u8]) -> usize {
    let mut out = 0;
    while out < text.len() {
        match to.write(&text[out..]) {
            Ok(0) => break,
            Ok(more) => out += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever reads sees to it that nobody waits; they may yet read on.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(A_MOMENT),
            Err(_) => break,
        }
    }
    if to.flush().is_ok() { out } else { 0 }
}

fn lines_of(text: &[u8]) -> u64 {
    text.iter().fold(0, |lines, byte| lines + u64::from(*byte == b'\n'))
}

/// Each write is a line.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line that tells of it, as all others look.
fn loss(lost: u64, format: LogFormat, level: LogLevel) -> Vec<u8> {
    let aside = Arc::new(Lines::within(BOUNDS));
    tracing::subscriber::with_default(subscriber(format, level, Arc::clone(&aside)), || {
        tracing::warn!(lost, "log lines were lost: nobody took them");
    });
    mem::take(&mut aside.state().waiting)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// Longer than anything takes that waits for nobody.
    const FOR_EVER: Duration = Duration::from_secs(60);

    /// Somebody who reads as long as the gate is open.
    #[derive(Clone, Default)]
    struct Reader(Arc<(Mutex<Seen>, Condvar)>);

    #[derive(Default)]
    struct Seen {
        is_open: bool,
        is_full: bool,
        is_waited_for: bool,
        text: String,
    }

    impl Reader {
        fn set(&self, change: impl FnOnce(&mut Seen)) {
            change(&mut self.0.0.lock().unwrap());
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            self.0.0.lock().unwrap().text.clone()
        }

        /// Somebody tries to write, and cannot.
        fn is_waited_for(&self) {
            let waits = |seen: &mut Seen| !seen.is_waited_for;
            let seen = self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), FOR_EVER, waits).unwrap();
            assert!(!seen.1.timed_out(), "nobody writes");
        }
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.set(|seen| seen.is_waited_for = true);
            let mut seen = self.0.1.wait_while(self.0.0.lock().unwrap(), |seen| !seen.is_open).unwrap();
            if seen.is_full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            seen.text.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(bounds: Bounds, reader: &Reader) -> Arc<Lines> {
        Lines::start_within(bounds, reader.clone(), LogFormat::Json, LogLevel::Info).unwrap()
    }

    /// What the `warn` lines say was lost.
    fn told(text: &str) -> Vec<u64> {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["level"] == "WARN").map(|line| line["lost"].as_u64().unwrap()).collect()
    }

    #[test]
    fn who_logs_never_waits_and_what_was_lost_is_counted_and_told_once() {
        let reader = Reader::default();
        let lines = start(Bounds { lines: 5, ..BOUNDS }, &reader);
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let counted = recorder.handle();
        let (done, is_done) = mpsc::channel();
        let (logged, waits) = (Arc::clone(&lines), reader.clone());
        thread::spawn(move || {
            let json = subscriber(LogFormat::Json, LogLevel::Info, logged);
            metrics::with_local_recorder(&recorder, || {
                tracing::subscriber::with_default(json, || {
                    tracing::info!(n = 0, "a line");
                    // It is being written, and no longer queued.
                    waits.is_waited_for();
                    (1..=12).for_each(|n| tracing::info!(n, "a line"));
                });
            });
            done.send(()).unwrap();
        });
        is_done.recv_timeout(FOR_EVER).expect("who logs waits for who reads");
        assert!(counted.render().contains("log_lines_lost_total 7"), "{}", counted.render());
        assert_eq!(reader.text(), "");

        reader.set(|seen| seen.is_open = true);
        lines.flush(FOR_EVER);
        let text = reader.text();
        assert_eq!(text.lines().filter(|line| line.contains("a line")).count(), 6, "{text}");
        assert_eq!(told(&text), [7], "{text}");
        assert!(text.lines().last().unwrap().contains("lost"), "after those that came before: {text}");
        lines.put(b"one more\n");
        lines.flush(FOR_EVER);
        assert_eq!(told(&reader.text()), [7], "once");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let reader = Reader::default();
        let lines = start(Bounds { bytes: 10, ..BOUNDS }, &reader);
        lines.put(b"0\n");
        reader.is_waited_for();
        ["123456\n", "too long\n", "89\n", "\n"].iter().for_each(|line| lines.put(line.as_bytes()));
        reader.set(|seen| seen.is_open = true);
        lines.flush(FOR_EVER);
        assert!(reader.text().starts_with("0\n123456\n89\n{"), "{}", reader.text());
        assert_eq!(told(&reader.text()), [2]);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_told_when_there_is_room() {
        let reader = Reader::default();
        reader.set(|seen| (seen.is_open, seen.is_full) = (true, true));
        let lines = start(BOUNDS, &reader);
        lines.put(b"a\n");
        lines.put(b"b\n");
        lines.flush(FOR_EVER);
        reader.set(|seen| seen.is_full = false);
        lines.put(b"c\n");
        lines.flush(FOR_EVER);
        assert!(reader.text().starts_with("c\n"), "{}", reader.text());
        assert_eq!(told(&reader.text()), [2]);
    }

    /// Room for some bytes, and none for more until there is.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, String)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, text) = &mut *self.0.lock().unwrap();
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let fits = &bytes[..bytes.len().min(*room)];
            *room -= fits.len();
            text.push_str(std::str::from_utf8(fits).unwrap());
            Ok(fits.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_lines_that_did_not_all_go_out_the_rest_is_lost_and_the_next_begins_anew() {
        let disk = Disk::default();
        disk.0.lock().unwrap().0 = 7;
        let lines = Lines::start_within(BOUNDS, disk.clone(), LogFormat::Json, LogLevel::Info).unwrap();
        lines.put(b"first\n");
        lines.flush(FOR_EVER);
        lines.put(b"second\n");
        lines.flush(FOR_EVER);
        assert_eq!(disk.0.lock().unwrap().1, "first\ns");
        disk.0.lock().unwrap().0 = 10_000;
        lines.put(b"third\n");
        lines.flush(FOR_EVER);
        let text = disk.0.lock().unwrap().1.clone();
        assert!(text.starts_with("first\ns\nthird\n{"), "{text}");
        assert_eq!(told(&text), [1], "{text}");
    }

    #[test]
    fn who_has_rested_is_woken_by_the_next_line() {
        let reader = Reader::default();
        reader.set(|seen| seen.is_open = true);
        let lines = start(BOUNDS, &reader);
        for n in 1..=3 {
            lines.put(b"a line\n");
            lines.flush(FOR_EVER);
            assert_eq!(reader.text(), "a line\n".repeat(n));
            let began = Instant::now();
            while lines.state().gathers {
                assert!(began.elapsed() < FOR_EVER, "it gathers for ever");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn who_does_not_read_is_not_waited_for_at_the_end() {
        let lines = start(BOUNDS, &Reader::default());
        lines.put(b"a\n");
        let began = Instant::now();
        lines.flush(Duration::from_millis(20));
        assert!(began.elapsed() < FOR_EVER);
    }
}
