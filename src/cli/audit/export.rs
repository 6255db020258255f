//! The log is written page by page; what is exported whole is checked on the way.

use anyhow::{Context, bail};

use super::{super::grants, Desk, Export, Format, PAGE, Terminal};
use crate::{
    audit::{AuditFilter, AuditRow, BrokenChain, CSV_HEADER, Chain, Code, Head, Line, csv_record},
    store::Scope,
};

pub(super) async fn run(wanted: &Export, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    knows(desk, wanted).await?;
    if let Some(out) = &wanted.out {
        terminal.save_to(out)?;
    }
    let (entries, broken) = match wanted.format {
        Format::Jsonl => jsonl(desk, &wanted.filter(), terminal).await?,
        Format::Csv => (csv(desk, &wanted.filter(), terminal).await?, None),
    };
    terminal.save()?;
    if wanted.format == Format::Jsonl && !wanted.filter().is_all() {
        terminal.hint("This is a selection: it cannot be verified. An export without any filter can.")?;
    }
    terminal.hint(format!("{entries} entries."))?;
    broken.map_or(Ok(()), |broken| Err(broken).context("all of it was exported, but it does not verify"))
}

/// Refuses what no entry can be about: nothing found would look like nothing done.
async fn knows(desk: &Desk, wanted: &Export) -> anyhow::Result<()> {
    let code = wanted.code.as_deref().unwrap_or_default();
    if Code::ALL.iter().all(|known| !known.as_str().starts_with(code)) {
        let mut begins: Vec<&str> = Code::ALL.iter().filter_map(|known| known.as_str().split('.').next()).collect();
        begins.sort_unstable();
        begins.dedup();
        bail!("no code begins with {code:?}; what they begin with: {}", begins.join(", "));
    }
    if let Some(id) = &wanted.person {
        let of = AuditFilter { person: Some(id.clone()), ..AuditFilter::default() };
        is_somewhere(desk, Scope::Person(id.clone()), &of, format!("person {id}")).await?;
    }
    if let Some(id) = &wanted.customer {
        let of = AuditFilter { customer: Some(id.clone()), ..AuditFilter::default() };
        is_somewhere(desk, Scope::Customer(id.clone()), &of, format!("customer {id}")).await?;
    }
    Ok(())
}

async fn is_somewhere(desk: &Desk, scope: Scope, of: &AuditFilter, name: String) -> anyhow::Result<()> {
    if grants::is_known(desk, &scope).await? || !desk.store.audit_rows(of, 0, 1).await?.is_empty() {
        return Ok(());
    }
    bail!("{name} is neither in the records nor in any entry of the log")
}

/// Answers how many entries there were, and where the log is broken. A broken log is exported all the same.
async fn jsonl(
    desk: &Desk,
    filter: &AuditFilter,
    terminal: &mut Terminal,
) -> anyhow::Result<(u64, Option<BrokenChain>)> {
    let checkpoints = desk.store.audit_checkpoints().await?;
    let mut chain = Chain::after(&checkpoints, Vec::new());
    let after = checkpoints.last().map_or(0, |checkpoint| checkpoint.gone.seq);
    if filter.is_all() {
        for checkpoint in checkpoints {
            terminal.say(Line::Checkpoint(checkpoint).write())?;
        }
    }
    let (mut entries, mut head) = (0, None);
    let mut pages = Pages { desk, filter, after };
    while let Some(page) = pages.next().await? {
        for row in page {
            if filter.is_all() {
                chain = chain.and_then(|mut chain| chain.take(&row).map(|()| chain));
            }
            (entries, head) = (entries + 1, Some(Head::new(row.seq, row.hash.clone())));
            terminal.say(Line::Row(row).write())?;
        }
    }
    if let Some(head) = head.filter(|_| filter.is_all()) {
        terminal.say(Line::Head(head).write())?;
    }
    Ok((entries, chain.err()))
}

async fn csv(desk: &Desk, filter: &AuditFilter, terminal: &mut Terminal) -> anyhow::Result<u64> {
    terminal.say(csv_line(&CSV_HEADER)?)?;
    let (mut entries, mut pages) = (0, Pages { desk, filter, after: 0 });
    while let Some(page) = pages.next().await? {
        for row in page {
            terminal.say(csv_line(&csv_record(&row.entry()?))?)?;
            entries += 1;
        }
    }
    Ok(entries)
}

/// One record as RFC 4180 has it, without the line feed that ends it.
fn csv_line(cells: &[impl AsRef<[u8]>]) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells).context("an entry cannot be written as CSV")?;
    let bytes = writer.into_inner().context("an entry cannot be written as CSV")?;
    let text = String::from_utf8(bytes).context("an entry is not text")?;
    Ok(text.trim_end_matches('\n').to_owned())
}

struct Pages<'a> {
    desk: &'a Desk,
    filter: &'a AuditFilter,
    after: i64,
}

impl Pages<'_> {
    async fn next(&mut self) -> anyhow::Result<Option<Vec<AuditRow>>> {
        let page = self.desk.store.audit_rows(self.filter, self.after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.seq;
        Ok(Some(page))
    }
}
