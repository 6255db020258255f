//! Room kept for removals: a file beside the database that is given up when the disk is full, and,
//! where the database's size is capped, a part of that cap.
//!
//! While it is given up every other write is refused; it is made again, before anything else may be
//! written, as soon as there is room.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::SqliteConnection;

/// How often it is tried to make it again.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Reserve {
    /// `None` for a visitor, who keeps nothing and gives up nobody's.
    path: Option<PathBuf>,
    bytes: u64,
    /// The cap in bytes that writes other than removals keep to.
    cap: Option<u64>,
    is_spent: bool,
    tried: Option<Instant>,
}

impl Reserve {
    /// Nothing is kept.
    pub(super) const fn none() -> Self {
        Self { path: None, bytes: 0, cap: None, is_spent: false, tried: None }
    }

    /// Makes the file if it is not there. Without room for it the store starts with its reserve spent.
    pub(super) async fn open(path: PathBuf, bytes: u64, cap: Option<u64>, conn: &mut SqliteConnection) -> Self {
        let mut reserve = Self { path: Some(path.clone()), bytes, cap, is_spent: false, tried: None };
        if let Err(error) = reserve.make().await {
            tracing::error!(%error, path = %path.display(), "no room can be reserved: only removals are written");
            reserve.is_spent = true;
        }
        reserve.limit(conn).await;
        reserve
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.is_spent
    }

    pub(super) async fn spend(&mut self, conn: &mut SqliteConnection) {
        tracing::error!(bytes = self.bytes, "the disk is full: the reserve is given up, only removals are written");
        self.is_spent = true;
        self.tried = Some(Instant::now());
        if let Some(path) = &self.path
            && let Err(error) = fs::remove_file(path)
        {
            tracing::error!(%error, path = %path.display(), "the reserve cannot be given up");
        }
        self.limit(conn).await;
    }

    /// Makes it again if there is room, at most once a second.
    pub(super) async fn refill(&mut self, conn: &mut SqliteConnection) {
        if self.tried.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.tried = Some(Instant::now());
        if self.has_room(conn).await && self.make().await.is_ok() {
            tracing::warn!(bytes = self.bytes, "there is room again: the reserve is made, everything is written");
            self.is_spent = false;
            self.limit(conn).await;
        }
    }

    async fn make(&self) -> io::Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let bytes = self.bytes;
        tokio::task::spawn_blocking(move || make(&path, bytes))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Below its cap the database has room for another write.
    async fn has_room(&self, conn: &mut SqliteConnection) -> bool {
        let Some(cap) = self.cap else { return true };
        let mut pages = [0_i64; 3];
        for (value, pragma) in pages.iter_mut().zip(["PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"])
        {
            match sqlx::query_scalar(pragma).fetch_one(&mut *conn).await {
                Ok(read) => *value = read,
                Err(_) => return false,
            }
        }
        // One page more must still fit.
        u64::try_from((pages[0] - pages[1] + 1) * pages[2]).is_ok_and(|needed| needed <= cap)
    }

    async fn limit(&self, conn: &mut SqliteConnection) {
        let Some(cap) = self.cap else { return };
        let bytes = if self.is_spent { cap + self.bytes } else { cap };
        let came = async {
            let page: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *conn).await?;
            let pages = bytes / u64::try_from(page).unwrap_or(4096).max(512);
            let sql = format!("PRAGMA max_page_count = {pages}");
            // Built from a number alone.
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *conn).await.map(|_| ())
        };
        if let Err(error) = came.await {
            tracing::error!(%error, "the database's cap cannot be set");
        }
    }
}

/// Really written, not only promised: a sparse file reserves nothing.
fn make(path: &Path, bytes: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| found.len() == bytes) {
        return Ok(());
    }
    let unfinished = path.with_extension("unfinished");
    let written = write_out(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write_out(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let block = [0xA5_u8; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    file.sync_all()
}
