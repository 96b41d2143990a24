//! Tables as docker prints them: aligned, without borders, headers in upper case. Pure.

use comfy_table::{ContentArrangement, Table, presets};

/// Between two columns.
const GAP: u16 = 2;
/// A cut column keeps at least so many characters.
const CUT_MIN: usize = 16;

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

/// The same, with the last column cut so that the lines fit `width`.
pub fn fitted(headers: &[&str], mut rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let Some(width) = width else { return table(headers, &rows) };
    let before: usize = (0..headers.len().saturating_sub(1))
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(String::as_str);
            let widest = headers.get(column).copied().into_iter().chain(cells);
            widest.map(|cell| cell.chars().count()).max().unwrap_or_default() + usize::from(GAP)
        })
        .sum();
    let left = width.saturating_sub(before).max(CUT_MIN);
    for cell in rows.iter_mut().filter_map(|row| row.last_mut()) {
        *cell = cut(cell, left);
    }
    table(headers, &rows)
}

/// At most `max` characters, with an ellipsis where some are missing.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Without line breaks and terminal controls: some text comes from agents.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = [row(&["a", "running", "-"]), row(&["long-name", "blocked", "why\nnot"])];
        assert_eq!(
            table(&["NAME", "STATE", "DETAIL"], &rows),
            "NAME       STATE    DETAIL\na          running  -\nlong-name  blocked  why not"
        );
    }

    #[test]
    fn an_empty_table_is_its_headers() {
        assert_eq!(table(&["NAME", "STATE"], &[]), "NAME  STATE");
    }

    #[test]
    fn the_last_column_gives_way() {
        let rows = vec![row(&["camera", "image sha256:aa is not in the store; import it"])];
        let text = fitted(&["NAME", "DETAIL"], rows, Some(40));
        assert_eq!(text, "NAME    DETAIL\ncamera  image sha256:aa is not in the s…");
        assert!(text.lines().all(|line| line.chars().count() <= 40));
    }
}
