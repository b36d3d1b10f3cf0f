//! Wall times of the parts: `cargo xtask bench --times`.

use divan::Bencher;
use hurricane_benches::{PARTS, Part};

fn main() {
    divan::main();
}

#[divan::bench(args = PARTS)]
fn part(bencher: Bencher<'_, '_>, part: &Part) {
    bencher.bench_local((part.prepare)());
}
