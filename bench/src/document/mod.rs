//! `fanfare-bench document`: writes the page of figures, with its plots, from what `compare` and `scenario` have written.
//!
//! It measures nothing and knows no figure of its own: what is not in the folder is "not measured" on the page.

mod goals;
mod measured;
mod plot;
mod provenance;
mod scenarios;
mod set;
mod tables;
mod words;

use anyhow::Context;
use set::Set;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands where a file or a figure is missing.
const NOT_MEASURED: &str = "not measured";

/// What `document` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Document {
    /// The folder with the reports: sizes.json, own.json, idle-1.json, idle-4.json, batch.json, and one for each scenario,
    /// named like it.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The page; its plots go into a folder beside it that is named like it.
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
    to: PathBuf,
}

/// Runs it.
pub(crate) fn document(document: &Document) -> anyhow::Result<()> {
    let set = Set::read(&document.from)?;
    let plots = document.to.with_extension("");
    let name = plots.file_name().context("the page has no name")?.to_string_lossy().into_owned();
    fs::create_dir_all(&plots).with_context(|| format!("{} cannot be made", plots.display()))?;
    let drawn = plot::all(&set)?;
    for plot in &drawn {
        let file = plots.join(plot.file);
        match &plot.svg {
            Some(svg) => write(&file, svg)?,
            // A plot of figures that are not on the page would look like one of those that are.
            None if file.exists() => {
                fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))?;
            }
            None => {}
        }
    }
    write(&document.to, &page(&set, &drawn, &name))?;
    eprintln!("the page is {}", document.to.display());
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

/// The page; `folder` is where its plots are, as seen from it.
fn page(set: &Set, plots: &[plot::Plot], folder: &str) -> String {
    let sections = [
        ("", provenance::introduction(set)),
        ("Where it was measured", provenance::place(set)),
        ("In short", tables::in_short(set)),
        ("Goals", goals::section(set)),
        ("Plots", plot::section(plots, folder)),
        ("A readership for each subscriber", tables::own(set)),
        ("Memory for an idle subscriber", tables::memory(set)),
        ("Situations", scenarios::section(set)),
        ("Commands", provenance::commands(set)),
        ("How to read this", provenance::how_to_read()),
    ];
    let mut out = "# Benchmarks\n\n".to_owned();
    for (title, text) in sections {
        if !title.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(out, "## {title}\n\n");
        }
        out += text.trim_end();
        out += "\n\n";
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Goal: a page can be written from a run of which nothing is there.
    /// Method: an empty set; every section but those that hold no figures says so, and no plot is linked.
    #[test]
    fn a_page_from_an_empty_folder_says_not_measured_everywhere() {
        let set = Set::default();
        let plots = plot::all(&set).unwrap();
        assert!(plots.iter().all(|plot| plot.svg.is_none()));
        let page = page(&set, &plots, "benchmarks");
        let mut seen = 0;
        for section in page.split("\n## ").skip(1).filter(|section| !section.starts_with("How to read")) {
            assert!(section.contains(NOT_MEASURED), "{section}");
            seen += 1;
        }
        assert_eq!(seen, 8, "{page}");
        assert!(!page.contains(".svg") && !page.contains("NaN"), "{page}");
        let verdicts = page.split("\n## ").find(|section| section.starts_with("Goals")).unwrap();
        assert!(!verdicts.contains(", met") && !verdicts.contains("**missed**"), "{verdicts}");
    }

    #[test]
    fn a_folder_with_nothing_in_it_is_a_set_and_a_file_that_is_no_report_is_named() {
        let folder = std::env::temp_dir().join(format!("fanfare-bench-document-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let empty = Set::read(&folder);
        fs::write(folder.join("own.json"), "{}").unwrap();
        let wrong = Set::read(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert!(empty.unwrap().own.is_none());
        assert!(format!("{:#}", wrong.err().unwrap()).contains("own.json"));
    }
}
