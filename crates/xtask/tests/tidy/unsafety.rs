//! How much `unsafe` there is, by crate: docs/security.md says it, with what it is for. That each block
//! says why it is sound is clippy's to ask (`undocumented_unsafe_blocks`).

use std::collections::BTreeMap;
use std::fs;

use syn::visit::{self, Visit};

use crate::assert_none;
use crate::sources::{is_for_tests, parse};
use crate::tree::{root, sources_with};

const TABLE: &str = "docs/security.md";
/// The head of the table: crate, blocks, what for.
const HEAD: &str = "| crate | `unsafe` | for |";

#[test]
fn the_count_of_unsafe_is_the_one_that_is_published() {
    let published = published();
    let mut breaches = Vec::new();
    let counted = counted();
    for name in counted.keys().chain(published.keys()) {
        let (found, said) = (counted.get(name), published.get(name));
        if found != said {
            let (found, said) = (found.unwrap_or(&0), said.unwrap_or(&0));
            breaches.push(format!("{name} has {found} unsafe blocks and impls; {TABLE}: {said}"));
        }
    }
    breaches.dedup();
    assert_none(&breaches);
}

#[test]
fn unsafe_is_found_wherever_it_is_but_in_tests() {
    let text = "unsafe impl Send for A {} fn a() { unsafe { b() } mod c { fn d() { unsafe {} } } }\n\
                #[cfg(test)]\nmod tests { fn e() { unsafe {} } }";
    assert_eq!(count(text), 3);
}

/// Of what is shipped: crates without any are not there.
fn counted() -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for source in sources_with("rs") {
        let mut parts = source.path.split('/');
        if let (Some("crates"), Some(name), Some("src")) =
            (parts.next(), parts.next(), parts.next())
        {
            *counts.entry(name.to_owned()).or_default() += count(&source.text);
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

fn published() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(root().join(TABLE)).unwrap();
    let table = text.split_once(HEAD).expect("the table of unsafe").1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        Some((cells.next()?.trim_matches('`').to_owned(), cells.next()?.parse().ok()?))
    };
    rows.filter_map(row).collect()
}

fn count(text: &str) -> usize {
    let mut found = Unsafe(0);
    found.visit_file(&parse(text));
    found.0
}

/// Counts blocks and impls.
struct Unsafe(usize);

impl<'ast> Visit<'ast> for Unsafe {
    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.0 += 1;
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.0 += usize::from(item.unsafety.is_some());
        visit::visit_item_impl(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !module.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, module);
        }
    }
}
