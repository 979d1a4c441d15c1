//! `AlertService`, declared so that clients can be written against it. Every
//! method says where to look meanwhile; nothing is kept and nothing changes.

use futures_util::stream;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::alert_service_server::AlertService;
use tonic::{Request, Response, Status};

use super::absent::absent;

/// Native alerts and reasons stand on the resources they concern.
const READ: &str = "the incidents and health reasons of ResourceService.ListResources";
const WATCH: &str = "ResourceService.WatchResources with the filter \"severity >= warning\"";
const ACKNOWLEDGE: &str = "the appliance's own interface to dismiss the alert there, which clears it here,";
const SILENCE: &str = "a filter in the client that reads ResourceService.WatchResources";
const RULE: &str = "the fixed tables of health in docs/health.md and their severity on each resource";

#[derive(Clone, Copy, Debug, Default)]
pub struct Alerts;

/// One method after the other: name, Request, Response, what to use instead.
macro_rules! methods {
    ($($name:ident, $method:literal, $request:ident, $response:ident, $instead:expr;)+) => {
        #[tonic::async_trait]
        impl AlertService for Alerts {
            type WatchAlertsStream = stream::Empty<Result<pb::WatchAlertsResponse, Status>>;

            async fn watch_alerts(
                &self,
                _: Request<pb::WatchAlertsRequest>,
            ) -> Result<Response<Self::WatchAlertsStream>, Status> {
                Err(absent("AlertService.WatchAlerts", WATCH))
            }

            $(async fn $name(&self, _: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                Err(absent(concat!("AlertService.", $method), $instead))
            })+
        }
    };
}

methods! {
    get_alert, "GetAlert", GetAlertRequest, GetAlertResponse, READ;
    list_alerts, "ListAlerts", ListAlertsRequest, ListAlertsResponse, READ;
    acknowledge_alert, "AcknowledgeAlert", AcknowledgeAlertRequest, AcknowledgeAlertResponse, ACKNOWLEDGE;
    unacknowledge_alert, "UnacknowledgeAlert", UnacknowledgeAlertRequest, UnacknowledgeAlertResponse, ACKNOWLEDGE;
    create_silence, "CreateSilence", CreateSilenceRequest, CreateSilenceResponse, SILENCE;
    get_silence, "GetSilence", GetSilenceRequest, GetSilenceResponse, SILENCE;
    list_silences, "ListSilences", ListSilencesRequest, ListSilencesResponse, SILENCE;
    update_silence, "UpdateSilence", UpdateSilenceRequest, UpdateSilenceResponse, SILENCE;
    delete_silence, "DeleteSilence", DeleteSilenceRequest, DeleteSilenceResponse, SILENCE;
    create_alert_rule, "CreateAlertRule", CreateAlertRuleRequest, CreateAlertRuleResponse, RULE;
    get_alert_rule, "GetAlertRule", GetAlertRuleRequest, GetAlertRuleResponse, RULE;
    list_alert_rules, "ListAlertRules", ListAlertRulesRequest, ListAlertRulesResponse, RULE;
    update_alert_rule, "UpdateAlertRule", UpdateAlertRuleRequest, UpdateAlertRuleResponse, RULE;
    delete_alert_rule, "DeleteAlertRule", DeleteAlertRuleRequest, DeleteAlertRuleResponse, RULE;
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::super::absent::REASON;
    use super::*;

    #[tokio::test]
    async fn a_method_says_that_it_is_not_here_and_what_is() {
        let list = Alerts.list_alerts(Request::new(pb::ListAlertsRequest::default())).await.err();
        let watch = Alerts.watch_alerts(Request::new(pb::WatchAlertsRequest::default())).await.err();
        for status in [list, watch] {
            let status = status.expect("a refusal");
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(status.message().contains("not in this release"), "{}", status.message());
            assert!(status.message().contains("ResourceService"), "{}", status.message());
            assert_eq!(status.get_details_error_info().map(|info| info.reason).as_deref(), Some(REASON));
        }
    }
}
