"""What a user may choose: named settings, as flags and from Python, read one way.

A preset over the defaults, and what is given over both.
"""

import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.lib.lists import Refusal
from lmc_jax.paths import BARRIERS

Values = dict[str, Any]
Presets = Mapping[str, Mapping[str, Any]]


class Setting(NamedTuple):
    """One setting: how it is written, its help, its default, the values it may take.

    kind: str for names and for lists such as ``5,10`` or ``5:100:x12``.
    """

    kind: type
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()


OUTPUTS = {
    "barrier": Setting(str, "Definition of the barrier.", "lerp", BARRIERS),
    "save_weights": Setting(bool, "Store the trained networks as well.", False),
}
# Two ways to say the same: one that is given takes the place of the other.
EXCLUSIVE = (("lr", "lr_times_m"), ("m", "m_over_k"))


def define(
    settings: Mapping[str, Setting],
    values: flags.FlagValues,
    presets: Presets = types.MappingProxyType({}),
) -> None:
    """Makes a flag of each setting, None where it is not given.

    Its help says what it is in each of the presets.
    """
    makers: dict[type, Any] = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_bool,
    }
    for name, (kind, words, default, choices) in settings.items():
        words += _defaults(
            {preset: one.get(name, default) for preset, one in presets.items()}
        )
        if choices:
            flags.DEFINE_enum(name, None, list(choices), words, flag_values=values)
        else:
            makers[kind](name, None, words, flag_values=values)


def _defaults(by_preset: Mapping[str, Any]) -> str:
    """What a setting is in each preset; nothing where it is none in all."""
    said = {
        preset: "none" if value in (None, "") else text(value)
        for preset, value in by_preset.items()
    }
    if set(said.values()) <= {"none"}:
        return ""
    if len(set(said.values())) == 1:
        return f" Default: {next(iter(said.values()))}."
    return f" Default: {', '.join(f'{said[one]} ({one})' for one in said)}."


def chosen(
    settings: Mapping[str, Setting], preset: Mapping[str, Any], values: flags.FlagValues
) -> Values:
    """The preset over the defaults, and the flags given over both.

    Raises:
      Refusal: for two settings that exclude each other.
    """
    defaults = {name: setting.default for name, setting in settings.items()}
    found = {**defaults, **preset}
    given = {name: values[name].value for name in settings}
    given = {name: value for name, value in given.items() if value is not None}
    for one, other in EXCLUSIVE:
        if one in given and other in given:
            raise Refusal(f"--{one} and --{other} exclude each other: give one of them")
        if one in given:
            found[other] = None
        if other in given:
            found[one] = None
    return found | given


def text(value: Any) -> str:
    """A value from Python as a flag is written: lists and arrays with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | range):
        return ",".join(map(text, value))
    return str(value)
