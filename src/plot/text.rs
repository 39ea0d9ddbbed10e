//! The room that text takes, which only the reader's program knows, estimated from above.

/// A size of text, and whether it is bold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    pub(super) size: f64,
    pub(super) bold: bool,
}

impl Font {
    pub(super) const SMALL: Self = Self { size: 12.5, bold: false };
    pub(super) const AXIS: Self = Self { size: 13.0, bold: false };
    pub(super) const TITLE: Self = Self { size: 15.0, bold: true };

    /// Pixels that a text takes at most, in common sans-serif fonts.
    pub(super) fn width(self, text: &str) -> f64 {
        let em = |c: char| match c {
            'i' | 'j' | 'l' | '.' | ',' | ';' | ':' | '\'' | '|' | '!' | ' ' => 0.36,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 1.0,
            'A'..='Z' => 0.75,
            '\0'..='\u{7f}' => 0.64,
            '\u{2e80}'.. => 1.3,
            _ => 0.8,
        };
        let wider = if self.bold { 1.12 } else { 1.0 };
        self.size * wider * text.chars().map(em).sum::<f64>()
    }

    /// Lines that are at most so wide; none for a text without a visible character. A word that is too long is cut.
    pub(super) fn wrap(self, text: &str, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in clean(text).split_whitespace() {
            match lines.last_mut() {
                Some(line) if self.width(line) + self.width(" ") + self.width(word) <= width => {
                    line.push(' ');
                    line.push_str(word);
                    continue;
                }
                _ => lines.push(String::new()),
            }
            for c in word.chars() {
                if lines.last().is_some_and(|line| self.width(line) + self.width(c.encode_utf8(&mut [0; 4])) > width) {
                    lines.push(String::new());
                }
                if let Some(line) = lines.last_mut() {
                    line.push(c);
                }
            }
        }
        lines
    }
}

/// The text as it is drawn: without characters that XML has no place for, without breaks of the line, and no longer than
/// anyone would read.
pub(super) fn clean(text: &str) -> String {
    const LONGEST: usize = 300;
    let allowed = |c: char| !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}'));
    let mut line: String = text.chars().take(LONGEST).map(|c| if allowed(c) { c } else { ' ' }).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}
