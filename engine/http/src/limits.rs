//! How much a request to hand in mail may say: what its description says is held here.

use maily_api::message::ATTACHMENTS_MAX;
use maily_api::message::HEADERS_MAX;
use maily_api::message::InjectRequest;
use maily_api::message::META_MAX;
use maily_api::message::RECIPIENTS_MAX;
use maily_api::message::TAGS_MAX;
use maily_api::problem::FieldError;

/// Characters of a name: of a campaign, a list.
pub(crate) const NAME_CHARACTERS_MAX: usize = 63;
/// Characters of a subject or the value of a header field, before it is a template's.
const LINE_CHARACTERS_MAX: usize = 998;

/// What is more than may be, or less.
pub(crate) fn exceeded(request: &InjectRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut check = |pointer: &str, count: usize, least: usize, most: usize| {
        if !(least..=most).contains(&count) {
            let (pointer, code) = (pointer.to_owned(), "count".to_owned());
            let detail = format!("there may be {least} to {most}");
            errors.push(FieldError { pointer, code, detail });
        }
    };
    check("/recipients", request.recipients.len(), 1, RECIPIENTS_MAX);
    check("/tags", request.tags.len(), 0, TAGS_MAX);
    check("/meta", request.meta.len(), 0, META_MAX);
    check("/headers", request.headers.len(), 0, HEADERS_MAX);
    check("/attachments", request.attachments.len(), 0, ATTACHMENTS_MAX);
    for (pointer, text, least, most) in [
        ("/campaign", &request.campaign, 1, NAME_CHARACTERS_MAX),
        ("/segment", &request.segment, 1, NAME_CHARACTERS_MAX),
        ("/list", &request.list, 1, NAME_CHARACTERS_MAX),
        ("/subject", &request.subject, 0, LINE_CHARACTERS_MAX),
    ] {
        if let Some(text) = text {
            check(pointer, text.chars().count(), least, most);
        }
    }
    for (number, field) in request.headers.iter().enumerate() {
        let pointer = format!("/headers/{number}/value");
        check(&pointer, field.value.chars().count(), 0, LINE_CHARACTERS_MAX);
    }
    if request.expire_after_secs == Some(0) {
        check("/expire_after_secs", 0, 1, u32::MAX as usize);
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn pointers(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let recipient = json!({ "email": "c@d.example" });
        let mut request = json!({
            "from": { "email": "a@b.example" }, "text": "t", "recipients": [recipient],
        });
        change(&mut request);
        let request: InjectRequest = serde_json::from_value(request).unwrap();
        exceeded(&request).into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn what_is_at_its_limit_may_be_and_one_more_may_not() {
        assert_eq!(pointers(|_| ()), [""; 0]);
        for (member, most) in [
            ("campaign", NAME_CHARACTERS_MAX),
            ("segment", NAME_CHARACTERS_MAX),
            ("list", NAME_CHARACTERS_MAX),
            ("subject", 998),
        ] {
            assert_eq!(pointers(|all| all[member] = json!("ä".repeat(most))), [""; 0]);
            let above = pointers(|all| all[member] = json!("ä".repeat(most + 1)));
            assert_eq!(above, [format!("/{member}")]);
        }
        for (member, one, most) in [
            ("tags", json!("t"), TAGS_MAX),
            ("headers", json!({ "name": "X-A", "value": "b" }), HEADERS_MAX),
            ("recipients", json!({ "email": "c@d.example" }), RECIPIENTS_MAX),
        ] {
            assert_eq!(pointers(|all| all[member] = json!(vec![one.clone(); most])), [""; 0]);
            let above = pointers(|all| all[member] = json!(vec![one.clone(); most + 1]));
            assert_eq!(above, [format!("/{member}")]);
        }
        assert_eq!(pointers(|all| all["recipients"] = json!([])), ["/recipients"]);
        assert_eq!(pointers(|all| all["campaign"] = json!("")), ["/campaign"]);
        assert_eq!(pointers(|all| all["expire_after_secs"] = json!(0)), ["/expire_after_secs"]);
        let long = json!([{ "name": "X-A", "value": "b".repeat(999) }]);
        assert_eq!(pointers(|all| all["headers"] = long), ["/headers/0/value"]);
    }
}
