//! Arguments of a tool as its caller gave them. What cannot be read is the
//! assistant's to know, as the answer of the tool: it can ask better.

use std::borrow::Cow;

use rmcp::ErrorData;
use rmcp::handler::server::common::FromContextPart;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Named as the macro of tools looks for it.
pub(super) struct Parameters<T>(pub(super) Result<T, String>);

impl<T: JsonSchema> JsonSchema for Parameters<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<S, T: DeserializeOwned> FromContextPart<ToolCallContext<'_, S>> for Parameters<T> {
    fn from_context_part(context: &mut ToolCallContext<'_, S>) -> Result<Self, ErrorData> {
        Ok(Self(read(context.arguments.take().unwrap_or_default().into())))
    }
}

/// Serde names the arguments that are known.
fn read<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| format!("arguments cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ask::{Alerts, Changes, Fleet, One, Search};
    use super::*;

    #[test]
    fn an_argument_that_is_not_known_is_refused_with_those_that_are() {
        let problem = |read: Result<(), String>| read.expect_err("refused");
        let arguments = || json!({"sytem": "nas-1", "resource": "nas-1"});
        for problem in [
            problem(read::<Fleet>(arguments()).map(drop)),
            problem(read::<One>(arguments()).map(drop)),
            problem(read::<Search>(arguments()).map(drop)),
            problem(read::<Alerts>(arguments()).map(drop)),
            problem(read::<Changes>(arguments()).map(drop)),
        ] {
            assert!(problem.contains("unknown field `"), "{problem}");
            assert!(problem.contains("expected") && problem.contains("`max_tokens`"), "{problem}");
        }
    }
}
