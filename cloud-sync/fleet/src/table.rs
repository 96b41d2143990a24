//! Tables as docker prints them: aligned, without borders, headers in upper case. Pure.

use comfy_table::{ContentArrangement, Table, presets};

use crate::output::clean;

/// Between two columns.
const GAP: u16 = 2;

/// What stands where there is nothing to say, so that columns can be counted.
pub const NOTHING: &str = "-";

/// Headers and rows as text, one line each.
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.to_vec());
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_no_cell_breaks_a_line() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let rows = [row(["box-1", "yes"]), row(["a-long-name", "no\n\u{1b}[31m"])];
        assert_eq!(
            table(&["NODE", "ONLINE"], &rows),
            "NODE         ONLINE\nbox-1        yes\na-long-name  no  [31m"
        );
    }
}
