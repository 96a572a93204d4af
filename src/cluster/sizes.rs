//! Numbers of bytes as a person reads them.

/// `1.5 MB`, in powers of a thousand.
#[must_use]
pub fn shown_bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (count / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    #[test]
    fn units_fit() {
        for (count, expect) in [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12_345_678, "12.3 MB"), (7_000_000_000, "7.0 GB")] {
            assert_eq!(super::shown_bytes(count), expect);
        }
    }
}
