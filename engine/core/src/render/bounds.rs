//! What the source of a template may look like before it is compiled. The engine's fuel bounds what
//! a template does, step by step; it does not bound how deep an expression is parsed, nor how much
//! one step may do with a value that holds itself many times. So tags are short and few, nothing is
//! defined that calls itself, and what is kept in a variable is not built out of variables.

/// Octets of one tag: a chain of operators is parsed one within the other.
pub const TAG_OCTETS_MAX: usize = 600;
/// Tags of statements, such as `if` and `set`.
pub const STATEMENTS_MAX: usize = 500;

/// Statements that are not taken: what can call itself, and what hides tags from us.
const REFUSED: &[&str] = &["macro", "call", "raw"];

/// What is wrong with a source, and at which octet.
pub(crate) type Flaw = (usize, &'static str);

/// Looks through a source.
pub(crate) fn check(source: &str) -> Result<(), Flaw> {
    let (mut at, mut statements) = (0, 0);
    while let Some(found) = source.get(at..).and_then(|rest| rest.find('{')) {
        let start = at + found;
        let inside = source.get(start + 2..).unwrap_or_default();
        let (kind, end) = match source.as_bytes().get(start + 1) {
            Some(b'#') => {
                at = start + 2 + inside.find("#}").map_or(inside.len(), |end| end + 2);
                continue;
            }
            Some(b'{') => (b'{', "}}"),
            Some(b'%') => (b'%', "%}"),
            _ => {
                at = start + 1;
                continue;
            }
        };
        let octets = tag_octets(inside, end);
        if octets > TAG_OCTETS_MAX {
            return Err((start, "a tag is longer than 600 octets"));
        }
        let tag = inside.get(..octets).unwrap_or_default();
        if kind == b'%' {
            statements += 1;
            if statements > STATEMENTS_MAX {
                return Err((start, "there are more than 500 statements"));
            }
            statement(tag).map_err(|why| (start, why))?;
        }
        at = start + 2 + octets;
    }
    Ok(())
}

/// Octets up to the end of a tag, which may not stand in a text in quotes.
fn tag_octets(inside: &str, end: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, octet) in inside.bytes().enumerate() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if octet == b'\\' => escaped = true,
            Some(open) if octet == open => quote = None,
            Some(_) => {}
            None if octet == b'"' || octet == b'\'' => quote = Some(octet),
            None if inside
                .as_bytes()
                .get(at..)
                .is_some_and(|rest| rest.starts_with(end.as_bytes())) =>
            {
                return at;
            }
            None => {}
        }
    }
    inside.len()
}

fn statement(tag: &str) -> Result<(), &'static str> {
    let words = tag.trim_start_matches(['-', '+']).trim_start();
    let name = words.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    if REFUSED.contains(&name) {
        return Err("this statement is not taken in mail");
    }
    let (mut quote, mut escaped, mut depth) = (None, false, 0_u32);
    let mut behind = String::new();
    for c in words.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '{' => return Err("a statement holds no map"),
            None if c == '[' && depth == 0 && is_value(&behind) => {}
            None if c == '[' && depth == 0 => depth += 1,
            None if c == ']' => depth = depth.saturating_sub(1),
            None if depth > 0 && (c == '[' || c == '_' || c.is_alphabetic()) => {
                return Err("a list in a statement holds only texts and numbers");
            }
            None => {}
        }
        // The word that the next character stands directly behind, or the sign.
        if !(c.is_alphanumeric() || c == '_')
            || !behind.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            behind.clear();
        }
        behind.push(c);
    }
    Ok(())
}

/// Words behind which a value begins.
const KEYWORDS: &[&str] =
    &["in", "is", "not", "and", "or", "if", "elif", "else", "set", "with", "for", "filter"];

/// Whether a bracket directly behind this takes an item out of a value.
fn is_value(behind: &str) -> bool {
    match behind {
        "]" | ")" | "\"" | "'" => true,
        word => {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            !word.is_empty() && word.chars().all(is_word) && !KEYWORDS.contains(&word)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_and_statements_have_their_limits() {
        let tag = |octets: usize| format!("a {{{{{}}}}} b", "x".repeat(octets));
        assert_eq!(check(&tag(TAG_OCTETS_MAX)), Ok(()));
        assert_eq!(check(&tag(TAG_OCTETS_MAX + 1)), Err((2, "a tag is longer than 600 octets")));
        let many = |count: usize| "{% if a %}".repeat(count);
        assert_eq!(check(&many(STATEMENTS_MAX)), Ok(()));
        assert!(check(&many(STATEMENTS_MAX + 1)).is_err());
        let hidden = format!("{{{{ \"}}}}\" ~ {} }}}}", "1+".repeat(400));
        assert!(check(&hidden).is_err(), "an end in quotes is no end");
    }

    #[test]
    fn what_calls_itself_hides_tags_or_doubles_itself_is_refused() {
        for source in [
            "{% macro m(a) %}{% endmacro %}",
            "{%- raw %}x{% endraw %}",
            "{% set a = [a, a] %}",
            "{% set a = {'b': a} %}",
            "{% for a in [[1]] %}{% endfor %}",
            "{% for a in[a,a] %}{% endfor %}",
            "{% set b = not[a,a] %}",
            "{% with a = [ \"]\", a] %}{% endwith %}",
        ] {
            assert!(check(source).is_err(), "{source}");
        }
        for source in [
            "{% set a = items[0] %}{% if b['c'][1] == \"[x\" %}{% endif %}",
            "{% for a in ['b', \"c\", 3] %}{{ [a] }}{% endfor %}",
            "{# {% macro %} #} { } {",
            "{%",
            "{{ '",
        ] {
            assert_eq!(check(source), Ok(()), "{source}");
        }
    }
}
