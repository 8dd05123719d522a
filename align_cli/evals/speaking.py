"""Which model answers: what its own files say of how it is spoken to, known before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from align_cli.files import digest_of
from align_cli.models import templates
from align_cli.models.adapters.chains import Chain, Link
from align_cli.models.finding import tokenizer_files
from align_cli.models.speaking import served
from align_cli.models.speaking.served import Served
from align_cli.models.templates import Template


@dataclass(frozen=True, kw_only=True)
class Speaking:
    """How a model on this machine is spoken to."""

    chain: Chain
    template: Template
    served: Served

    @property
    def template_name(self) -> str:
        """Where the template comes from, in words."""
        return "the model's own" if self.template.source == "the tokenizer" else self.template.source

    @property
    def default_system(self) -> str | None:
        """What the template says before a conversation that has no system prompt; None where it says nothing."""
        if self.served.inserts_empty_system:
            return None
        return self.template.default_system(tokenizer_files.special(tokenizer_files.folder_of(self.chain)))


def speaking(chain: Chain, chat_template: str | None = None) -> Speaking:
    """The template and system prompt that the model was trained with; `chat_template` stands for the first.

    Raises:
        UsageError: it cannot be spoken to: a classifier, or a model without a template.
    """
    from align_cli.models.speaking import opened

    opened.demand_speaker(chain, chat_template)
    own = tokenizer_files.template_text(tokenizer_files.folder_of(chain))
    template = templates.resolve(chat_template=chat_template, chat_template_path=None, of_tokenizer=own)
    assert template is not None
    last = (chain.adapters or (chain.base,))[-1]
    return Speaking(chain=chain, template=template, served=served.of_run(last.folder))


#: Stands for a question's words in the prompt that `evaluation.json` shows.
PLACE = "{instruction}"


def facts(speaking: Speaking, name: str, system: str | None) -> dict[str, Any]:
    """The model as `evaluation.json` names it: what its answers depend on, and no place of this machine.

    The template counts as its text: one that prints the date is the same one tomorrow. The prompt is there to be read.
    """
    chain = speaking.chain
    return {
        "name": name,
        "base": _link(chain.base),
        "adapters": [_link(link) for link in chain.adapters],
        "template": {
            "from": speaking.template_name,
            "digest": digest_of(speaking.template.text)[:16],
            "inserts_empty_system": speaking.served.inserts_empty_system,
            "prompt": _prompt(speaking, system),
        },
    }


def _prompt(speaking: Speaking, system: str | None) -> str | None:
    """What is put before the model for a question's first turn; None where the template refuses such words."""
    said = [{"role": "user", "content": PLACE}]
    if system is not None or (speaking.served.inserts_empty_system and speaking.template.knows_system):
        said.insert(0, {"role": "system", "content": system or ""})
    special = tokenizer_files.special(tokenizer_files.folder_of(speaking.chain))
    try:
        return speaking.template.render(said, special, add_generation_prompt=True)
    except templates.TemplateRefusal:
        return None


def _link(link: Link) -> dict[str, Any]:
    return {"revision": link.revision, "digest": link.digest}
