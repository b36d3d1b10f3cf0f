//! What a source file looks like: its header, its length, the length of its functions.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::assert_none;
use crate::tree::sources_with;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn every_rust_file_opens_with_a_header() {
    let breaches: Vec<String> = sources_with("rs")
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}: does not open with `//! ` and what it is for", source.path))
        .collect();
    assert_none(&breaches);
}

#[test]
fn no_file_exceeds_500_lines_without_tests() {
    let mut breaches = Vec::new();
    for source in sources_with("rs").iter().chain(&sources_with("py")) {
        let mut lines = source.text.lines().count();
        if source.path.ends_with(".rs") {
            lines -= test_lines(&source.text);
        }
        if lines > FILE_LINES_MAX && !source.is_test() {
            breaches.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert_none(&breaches);
}

#[test]
fn no_function_exceeds_70_lines() {
    let mut breaches = Vec::new();
    for source in sources_with("rs") {
        for function in long_functions(&source.text) {
            breaches.push(format!("{}: {function}", source.path));
        }
    }
    assert_none(&breaches);
}

pub(crate) fn parse(text: &str) -> syn::File {
    syn::parse_file(text).expect("every file of the tree compiles")
}

/// Lines of modules that are compiled for tests only.
fn test_lines(text: &str) -> usize {
    parse(text)
        .items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Mod(module) if module.attrs.iter().any(is_for_tests) => {
                Some(lines(module.span()))
            }
            _ => None,
        })
        .sum()
}

pub(crate) fn is_for_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}

fn lines(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

fn long_functions(text: &str) -> Vec<String> {
    let mut found = Functions::default();
    found.visit_file(&parse(text));
    found.long
}

/// Walks over all functions, those inside functions too.
#[derive(Default)]
struct Functions {
    long: Vec<String>,
}

impl Functions {
    fn note(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        if lines > FUNCTION_LINES_MAX {
            self.long.push(format!("{} has {lines} lines", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.note(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn long_functions_are_found_wherever_they_are() {
    let body = "();\n".repeat(FUNCTION_LINES_MAX);
    for text in [
        format!("fn long() {{\n{body}}}"),
        format!("impl A {{ fn long() {{\n{body}}} }}"),
        format!("trait A {{ fn long() {{\n{body}}} }}"),
        format!("mod a {{ fn short() {{ async fn long() {{\n{body}}} }} }}"),
    ] {
        assert!(long_functions(&text).iter().any(|found| found == "long has 72 lines"), "{text}");
    }
    assert!(long_functions("/// A\n/// B\nfn short() {}").is_empty());
}

#[test]
fn lines_of_tests_are_not_counted() {
    assert_eq!(test_lines("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"), 4);
    assert_eq!(test_lines("#[cfg(unix)]\nmod tests {\n}\n"), 0);
}
