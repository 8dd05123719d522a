"""Why all of it ends early, in words: which variable, which address, what to type next."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from align_cli.errors import AlignError, EndpointError, Interrupted, UsageError
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.asking.faults import Fault

KEPT = "what is answered is kept: the same command goes on from there"


def fatal(endpoint: Endpoint, fault: Fault, models: Sequence[str] = ()) -> EndpointError:
    """The error that a fault after which no request will fare better comes to; `models` are those that it has."""
    place = endpoint.host
    if fault.kind == "unauthorised":
        return _unauthorised(endpoint, fault)
    if fault.kind == "quota":
        source = f" of the key in {endpoint.key_source}" if endpoint.key_source else ""
        return EndpointError(
            f"{place}: the quota{source} is used up ({fault.why})",
            hint=f"add credit or raise the limit; {KEPT}",
        )
    if fault.kind == "no_model":
        near = difflib.get_close_matches(endpoint.model, models, n=3, cutoff=0.5) or list(models)[:5]
        more = ", …" if len(models) > len(near) else ""
        what = "deployment" if endpoint.kind == "azure" else "model"
        whose = " for this key" if endpoint.key_source else ""
        return EndpointError(
            f'{place}: there is no {what} "{endpoint.model}"{whose} ({fault.why})',
            hint=f"it has {', '.join(near)}{more}" if near else "its own pages list what it has",
        )
    if fault.kind == "moved":
        return EndpointError(
            f"{place}: {fault.why}; requests are not sent there, for the key would go with them",
            hint="if that is the right place, name it as the endpoint",
        )
    return EndpointError(
        f"{endpoint.base_url}: there are no chat completions here ({fault.why})",
        hint="the address ends where chat/completions begins, mostly in /v1",
    )


def down(endpoint: Endpoint, fault: Fault, rounds: int) -> EndpointError:
    """The error that faults in a row without one reply come to."""
    if fault.kind == "limited":
        return EndpointError(
            f"{endpoint.host}: it refuses every request for its rate ({fault.why})",
            hint=f"slower: --requests-per-minute, --tokens-per-minute, --in-flight 1; {KEPT}",
        )
    where = "" if endpoint.host in fault.why else f"{endpoint.host}: "
    return EndpointError(
        f"{where}{fault.why}; {rounds} times in a row, and no reply between",
        hint=f"is it running, and is {endpoint.base_url} its address? {KEPT}",
    )


def too_long_a_wait(endpoint: Endpoint, fault: Fault) -> EndpointError:
    """The error that a wait comes to which nobody would want."""
    assert fault.after is not None
    return EndpointError(
        f"{endpoint.host}: it asks to wait for {_span(fault.after)} ({fault.why})",
        hint=f"give the same command again then; {KEPT.partition(':')[0]}",
    )


def unpriced(endpoint: Endpoint) -> UsageError:
    """The error that a cap on the cost comes to where nobody knows the cost."""
    return UsageError(
        f"--max-cost: the prices of {endpoint.model} are not known",
        hint="--price IN,OUT gives them: USD per million tokens of prompts and of replies",
    )


def refusing(endpoint: Endpoint, why: str, times: int) -> EndpointError:
    """The error that nothing but refusals comes to."""
    return EndpointError(
        f"{endpoint.host}: it refused the first {times} requests, and no other was answered ({why})",
        hint="what it refuses is in its own words above",
    )


def parameter(endpoint: Endpoint, fault: Fault) -> EndpointError:
    """The error that a parameter comes to which cannot be left out."""
    return EndpointError(
        f"{endpoint.model} does not take {fault.parameter}, and what is asked for cannot do without ({fault.why})",
        hint="another judge may take it",
    )


def too_dear(spent: float, max_cost: float, at_most: float, done: int, left: int, unsure: float) -> AlignError:
    """The error that ends what has reached its cap. Numbers are USD, and requests."""
    lost = f" and perhaps {money(unsure)} more on replies that were lost" if unsure else ""
    return AlignError(
        f"--max-cost: {money(spent)} of {money(max_cost)} is spent{lost}, and the next request may cost up to "
        f"{money(at_most)}; {done} requests are answered, {left} are left",
        hint=f"a higher --max-cost; {KEPT}",
    )


def stopped(done: int, missed: int, grace_s: float) -> Interrupted:
    """The error that a wish to stop comes to."""
    late = f"; {missed} replies on their way had not come after {grace_s:g} s" if missed else ""
    what = f"stopped: {done} requests are answered and kept{late}"
    return Interrupted(what, hint="the same command goes on from there")


def money(usd: float) -> str:
    """USD for people: cents, or as many digits as it takes."""
    return f"${usd:.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}" if usd >= 0.0001 else f"${usd:.1e}"


def _unauthorised(endpoint: Endpoint, fault: Fault) -> EndpointError:
    if not endpoint.key_source:
        return EndpointError(
            f"{endpoint.host}: it wants a key, and none was sent ({fault.why})",
            hint="--key-env (of a judge: --judge-key-env) names the variable that holds it",
        )
    kept = "the keyring" if endpoint.key_source == "keyring" else endpoint.key_source
    return EndpointError(
        f"{endpoint.host}: the key in {kept} is refused ({fault.why})",
        hint=f"is it this endpoint's, still valid, and allowed to use {endpoint.model}? {KEPT}",
    )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
