//! Tables of text, columns as wide as they need.

use console::measure_text_width;

use crate::screen::coloured;

/// A table: a header and rows of cells.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a header.
    pub(crate) fn new(header: &[&str]) -> Self {
        let style = console::Style::new().bold();
        Self { rows: vec![header.iter().map(|text| style.apply_to(cell(text)).to_string()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|text| cell(text)).collect());
    }

    /// The lines, two spaces between columns, nothing after the last.
    pub(crate) fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - measure_text_width(cell))));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// A text that stays in its cell, with its colours.
fn cell(text: &str) -> String {
    coloured(&text.replace("\r\n", " ").replace(['\n', '\t'], " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up() {
        console::set_colors_enabled(false);
        let mut table = Table::new(&["Name", "Role"]);
        table.row(vec!["a-long-name".to_owned(), "leader".to_owned()]);
        table.row(vec!["b".to_owned(), String::new()]);
        assert_eq!(table.lines(), ["Name         Role", "a-long-name  leader", "b"]);
    }

    #[test]
    fn a_cell_stays_where_it_is() {
        let mut table = Table::new(&["Name", "Role"]);
        table.row(vec!["a\x1b]52;c;aGk=\x07\x1b[2J".to_owned(), "\x1b[32mleader\x1b[0m".to_owned()]);
        table.row(vec!["b\nfake\rrow".to_owned(), "replica".to_owned()]);
        let expect = ["a\u{fffd}]52;c;aGk=\u{fffd}\u{fffd}[2J  \x1b[32mleader\x1b[0m", "b fake\u{fffd}row         replica"];
        assert_eq!(table.lines()[1..], expect);
    }
}
