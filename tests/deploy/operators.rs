//! Resources of cert-manager and the Prometheus operator, read by types that were
//! made from their CRDs: what the types do not know, or know otherwise, is lost on the way.

use anyhow::Context as _;
use pulse_tests::task::tools::kubernetes::operators;
use serde_json::Value;

use crate::manifests::built;
use crate::python;

/// Resources of operators, which no schema of Kubernetes knows.
pub(crate) const OF_OPERATORS: [&str; 2] = ["cert-manager.io/v1", "monitoring.coreos.com/v1"];

const READ: &str = r#"
import json, sys
from cloudcoil.models.cert_manager import v1 as cert_manager
from cloudcoil.models.prometheus_operator import v1 as prometheus
models = {"cert-manager.io/v1": cert_manager, "monitoring.coreos.com/v1": prometheus}
def read(document):
    model = getattr(models[document["apiVersion"]], document["kind"]).model_validate(document)
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)
print(json.dumps([read(document) for document in json.load(sys.stdin)]))
"#;

fn understood(documents: &[Value]) -> anyhow::Result<Vec<Value>> {
    python(&operators()?, READ, &serde_json::to_string(documents)?)
}

#[test]
fn operators_understand_all_that_is_said_to_them() -> anyhow::Result<()> {
    let (_, documents) = built("overlays/provider")?;
    let of_operators = |document: &Value| OF_OPERATORS.iter().any(|of| document["apiVersion"] == *of);
    let documents: Vec<Value> = documents.into_iter().filter(of_operators).collect();
    let mut kinds: Vec<&str> = documents.iter().filter_map(|document| document["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["Certificate", "Issuer", "PrometheusRule", "ServiceMonitor"]);
    assert_eq!(understood(&documents)?, documents);
    // The judge can say no: to a field that is not there, and to a value that cannot be.
    for (kind, path, wrong) in [
        ("ServiceMonitor", "/spec/endpoints/0", serde_json::json!({ "portt": "http" })),
        ("Certificate", "/spec/dnsNames", serde_json::json!("not-a-list")),
    ] {
        let mut of_kind = documents.iter().filter(|d| d["kind"] == kind && d.pointer(path).is_some());
        let mut document = of_kind.next().context(kind)?.clone();
        *document.pointer_mut(path).context(path)? = wrong;
        let read = understood(std::slice::from_ref(&document));
        assert!(read.is_err() || read.is_ok_and(|read| read != [document]), "{kind} {path}");
    }
    Ok(())
}
