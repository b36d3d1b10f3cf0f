//! Compares counts with the baseline: what may pass, and the table that tells it.

use anyhow::bail;

use crate::baseline::Known;
use crate::note::Notes;

/// Growth that passes without a note, in percent: several times the spread of the noisiest
/// subject.
const GROWTH_MAX: f64 = 3.0;

pub(crate) struct Comparison<'a> {
    notes: &'a Notes,
    rows: Vec<Row>,
    /// What is to be said once, below the table.
    remarks: Vec<String>,
}

struct Row {
    subject: String,
    before: Option<u64>,
    now: u64,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// Within the limit.
    Same,
    /// Fewer by more than the limit: worth saving.
    Fewer,
    /// More than the limit, and a note says so.
    Noted,
    /// More than the limit and than the notes allow.
    TooMany,
    /// Not in the baseline.
    New,
    /// Nothing to compare with here.
    Uncompared,
}

impl Outcome {
    fn of(before: u64, now: u64, noted: f64) -> Self {
        let change = percent(before, now);
        match change {
            _ if change < -GROWTH_MAX => Self::Fewer,
            _ if change <= GROWTH_MAX => Self::Same,
            // Who notes +4 has rounded, and the next count is not the same to the last one.
            _ if change <= noted + 0.5 => Self::Noted,
            _ => Self::TooMany,
        }
    }

    fn fails(self) -> bool {
        matches!(self, Self::TooMany | Self::New)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Same | Self::Uncompared => "",
            Self::Fewer => "fewer; --save keeps it so",
            Self::Noted => "noted",
            Self::TooMany => "TOO MANY",
            Self::New => "NOT IN THE BASELINE",
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn percent(before: u64, now: u64) -> f64 {
    (now as f64 - before as f64) * 100.0 / before.max(1) as f64
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(notes: &'a Notes) -> Self {
        let unreadable = notes
            .unreadable
            .iter()
            .map(|line| format!("not a note (Instructions: <subject> +N% <why>): {line}"));
        Self { notes, rows: Vec::new(), remarks: unreadable.collect() }
    }

    pub(crate) fn add(&mut self, subject: &str, known: Known, now: u64) {
        let (before, outcome, remark) = match known {
            Known::Foreign { place } => {
                let remark = format!("not compared: the baseline has no counts of {place}");
                (None, Outcome::Uncompared, Some(remark))
            }
            Known::New => (None, Outcome::New, None),
            Known::Count { instructions, elsewhere } => {
                let noted = self.notes.percent(subject);
                let remark = elsewhere.map(|with| format!("the baseline was made with {with}"));
                (Some(instructions), Outcome::of(instructions, now, noted), remark)
            }
        };
        self.rows.push(Row { subject: subject.to_owned(), before, now, outcome });
        if let Some(remark) = remark
            && !self.remarks.contains(&remark)
        {
            self.remarks.push(remark);
        }
    }

    /// A line for each subject, then the remarks.
    pub(crate) fn table(&self) -> String {
        let mut lines =
            vec![format!("{:24} {:>10} {:>10} {:>8}", "instructions", "baseline", "now", "change")];
        for Row { subject, before, now, outcome } in &self.rows {
            let change = before.map_or(String::new(), |it| format!("{:+.1} %", percent(it, *now)));
            let (before, now) = (before.map_or(String::new(), grouped), grouped(*now));
            let line =
                format!("{subject:24} {before:>10} {now:>10} {change:>8}  {}", outcome.text());
            lines.push(line.trim_end().to_owned());
        }
        lines.extend(self.remarks.iter().cloned());
        lines.join("\n")
    }

    /// Fails when a subject takes more instructions than it may.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let failed: Vec<&Row> = self.rows.iter().filter(|row| row.outcome.fails()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = failed.iter().map(|row| row.subject.as_str()).collect();
        bail!(
            "{}: more than {GROWTH_MAX} % above the baseline, or not in it; make it cheaper, or \
             say why in a line of the commit (`Instructions: {} +N% <why>`), or make it the \
             baseline (`cargo xtask bench --counts --save`)",
            names.join(", "),
            names[0]
        )
    }
}

/// 12,345
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(instructions: u64) -> Known {
        Known::Count { instructions, elsewhere: None }
    }

    #[test]
    fn three_percent_pass_and_more_does_not() {
        let notes = Notes::default();
        let mut comparison = Comparison::new(&notes);
        comparison.add("head", known(1000), 1030);
        comparison.add("date", known(1000), 400);
        assert!(comparison.verdict().is_ok());
        comparison.add("chunks", known(1000), 1031);
        let refusal = comparison.verdict().unwrap_err().to_string();
        assert!(refusal.starts_with("chunks: more than 3 %"), "{refusal}");
        assert!(comparison.table().contains("TOO MANY"));
    }

    #[test]
    fn a_note_covers_as_much_as_it_says() {
        let notes = Notes::parse("Instructions: head +10% names are checked twice");
        let mut comparison = Comparison::new(&notes);
        comparison.add("head", known(1000), 1101);
        assert!(comparison.verdict().is_ok());
        comparison.add("head", known(1000), 1110);
        assert!(comparison.verdict().is_err());
    }

    #[test]
    fn what_is_not_in_the_baseline_fails() {
        let notes = Notes::default();
        let mut comparison = Comparison::new(&notes);
        comparison.add("head", Known::New, 1000);
        assert!(comparison.verdict().is_err());
    }

    #[test]
    fn where_nothing_was_counted_nothing_fails_and_it_is_said() {
        let notes = Notes::default();
        let mut comparison = Comparison::new(&notes);
        let place = "aarch64".to_owned();
        comparison.add("head", Known::Foreign { place: place.clone() }, 12_345_678);
        comparison.add("date", Known::Foreign { place }, 100);
        assert!(comparison.verdict().is_ok());
        assert!(comparison.table().contains("12,345,678"));
        assert_eq!(comparison.table().matches("not compared").count(), 1);
    }

    #[test]
    fn a_note_that_cannot_be_read_is_shown() {
        let notes = Notes::parse("Instructions: head 10%");
        assert!(Comparison::new(&notes).table().contains("not a note"));
    }
}
