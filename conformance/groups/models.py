"""Models: what a client may choose from."""

from conformance.registry import check
from conformance.server import Server
from conformance.verdicts import offered, refusal, require


@check("models", "list")
async def list_models(server: Server) -> str:
    """Every model has an id, and the object and owner fields that clients show.

    A chat product fills its model picker from this list before anything else works.
    Documented: API reference, Models, List.
    """
    page = await offered(server.client.models.list())
    require(page.data, "no model")
    for model in page.data:
        require(model.id and model.object == "model", f"{model.id!r} is a {model.object!r}")
        require(isinstance(model.created, int), f"{model.id}: created is {model.created!r}")
        require(isinstance(model.owned_by, str), f"{model.id}: owned_by is {model.owned_by!r}")
    return f"{len(page.data)} models"


@check("models", "one of the list")
async def retrieve_model(server: Server) -> str:
    """A model of the list can be read alone and says the same.

    Clients verify a configured model this way without spending a token.
    Documented: API reference, Models, Retrieve.
    """
    listed = (await offered(server.client.models.list())).data[0]
    one = await offered(server.client.models.retrieve(listed.id))
    require(one.id == listed.id, f"asked for {listed.id}, got {one.id}")
    require(one.object == "model", f"it is a {one.object!r}")
    return one.id


@check("models", "an unknown one is 404")
async def unknown_model(server: Server) -> str:
    """A model that does not exist is answered with 404 in OpenAI's error shape.

    A typing mistake in a configuration must be named, not answered with a default.
    Documented: API reference, Models, Retrieve; guides, Error codes.
    """
    error = await refusal(server.client.models.retrieve("no-such-model-0"), 404)
    return f"404, code {error.code}"
