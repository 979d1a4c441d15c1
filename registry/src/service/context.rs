//! `ContextService`, declared so that clients can be written against it. Every
//! method says where to look meanwhile.

use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::context_service_server::ContextService;
use tonic::{Request, Response, Status};

use super::absent::absent;

#[derive(Clone, Copy, Debug, Default)]
pub struct Contexts;

#[tonic::async_trait]
impl ContextService for Contexts {
    async fn get_infrastructure_context(
        &self,
        _: Request<pb::GetInfrastructureContextRequest>,
    ) -> Result<Response<pb::GetInfrastructureContextResponse>, Status> {
        let instead = "ResourceService.SummarizeResources, and ResourceService.ListResources with the filter \
                       \"severity >= warning\",";
        Err(absent("ContextService.GetInfrastructureContext", instead))
    }

    async fn get_resource_context(
        &self,
        _: Request<pb::GetResourceContextRequest>,
    ) -> Result<Response<pb::GetResourceContextResponse>, Status> {
        Err(absent("ContextService.GetResourceContext", "ResourceService.GetResource"))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_method_says_that_it_is_not_here_and_what_is() {
        let infrastructure = Contexts
            .get_infrastructure_context(Request::new(pb::GetInfrastructureContextRequest::default()))
            .await
            .err();
        let resource =
            Contexts.get_resource_context(Request::new(pb::GetResourceContextRequest::default())).await.err();
        for status in [infrastructure, resource] {
            let status = status.expect("a refusal");
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(status.message().contains("not in this release"), "{}", status.message());
            assert!(status.message().contains("ResourceService"), "{}", status.message());
        }
    }
}
