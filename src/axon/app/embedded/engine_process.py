"""The engine's own process: `python -m axon.app.embedded.engine_process --port N --model FILE ...`.

Nothing else imports this file: `xllamacpp` comes with the extra `local` only.
"""

import argparse
import signal

from xllamacpp import CommonParams, Server

from axon.app.embedded.engine import HOST

_CONNECTIONS_BESIDE_SLOTS = 4
"""Threads for /health, /tokenize and the list of models while every slot streams."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--slot-context", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def main() -> None:
    """Load the model, serve it, and wait to be killed; the loading takes about a second."""
    wanted = _arguments()
    params = CommonParams()
    params.model.path = wanted.model
    params.model_alias = {wanted.alias}
    params.hostnames = [HOST]
    params.port = wanted.port
    params.n_parallel = wanted.slots
    params.n_ctx = wanted.slots * wanted.slot_context
    params.fit_params = False  # the sizes above are the settings', not a guess by free memory
    params.cpuparams.n_threads = wanted.threads
    params.cpuparams_batch.n_threads = wanted.threads
    params.n_threads_http = wanted.slots + _CONNECTIONS_BESIDE_SLOTS
    params.cache_ram_mib = 0  # prompts are kept in the slots only; the default may take 8 GiB
    params.ui = False
    params.warmup = False  # saves a third of a second before the first answer
    params.verbosity = 1
    server = Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
