//! What is done for each task, host and call: `cargo bench --package pgfleet-bench --features criterion`.

mod expressions;
mod frames;
mod inventories;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    // Seconds rather than minutes for all of it; what is measured takes micro- to milliseconds.
    let brief = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2)).sample_size(50);
    let mut criterion = brief.configure_from_args();
    expressions::measure(&mut criterion);
    inventories::measure(&mut criterion);
    frames::measure(&mut criterion);
    criterion.final_summary();
}
