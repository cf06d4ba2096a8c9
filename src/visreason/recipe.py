"""Recipes: typed settings of a verb, filled by a YAML file and by field=value words, refused when unknown."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from visreason.errors import UsageError
from visreason.names import engine_kind, idle_options, unknown


class Recipe(BaseModel):
    """What every verb takes. A verb's own recipe inherits this and adds its fields, each with its sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    out: Path | None = Field(
        None, description="Run directory; runs/VERB/<hash of the recipe> when not given."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of everything random in the run.")

    def idle(self) -> dict[str, str]:
        """Fields that have no effect beside the others, and what would give them one; such a field is refused."""
        return {}

    @model_validator(mode="after")
    def _refuse_idle(self) -> Self:
        for name, needed in self.idle().items():
            if getattr(self, name) != type(self).model_fields[name].get_default():
                raise ValueError(f"{name} has no effect without {needed}; leave it out")
        return self


Data = str | list[str]
"""What is read: a file, a pattern of files, a drawn split, or a list of these."""
FILES = "a file of records or rows of any format, a list of files, or a pattern as 'shards/*.jsonl'"


def refuse_crossed(recipe: Recipe) -> Recipe:
    """Validates a recipe with bounds of pixels."""
    low, high = getattr(recipe, "min_pixels", None), getattr(recipe, "max_pixels", None)
    if low and high and low > high:
        raise ValueError(f"expected min_pixels below max_pixels, found {low} above {high}")
    return recipe


class Seeing(Recipe):
    """What every verb takes that shows problems to a model in process."""

    max_pixels: int | None = Field(
        None, ge=784, description="Largest image area in pixels; the processor's own when not given."
    )
    min_pixels: int | None = Field(None, ge=784, description="Smallest image area in pixels.")
    max_prompt_tokens: int = Field(
        8192,
        ge=16,
        description="Problems with longer prompts are not asked: set aside, or scored as errored.",
    )
    device: str = Field("auto", description="cpu, cuda, or auto.")

    _uncrossed = model_validator(mode="after")(refuse_crossed)

    def seeing(self) -> dict[str, Any]:
        """The fields of this class, by their names."""
        return {name: getattr(self, name) for name in Seeing.model_fields if name not in Recipe.model_fields}


class Asking(Seeing):
    """What every verb takes that puts problems to a model."""

    data: Data = Field(
        description=f"Problems: {FILES}, or world:SPLIT:N.",
        examples=["world:heldout:500"],
    )
    style: str = Field("awaker", description="How a problem is put to the model and its completion laid out.")
    where: dict[str, str | int] = Field(
        {}, description="Use only problems whose meta has these values, as {level: 1}."
    )
    limit: int | None = Field(None, ge=1, description="Use only the first problems of the data.")


def _shard(text: str) -> str:
    i, _, n = text.partition("/")
    if not (i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise ValueError(f"expected shard=i/n with i from 1 to n, as 2/4, found {text!r}")
    return text


Shard = Annotated[str, AfterValidator(_shard)]
"""The i-th of n parts of the problems, as "2/4"."""
SHARD = "Take only the i-th of n parts of the problems, as 2/4; `visreason merge` puts the parts together."


class Requesting(Recipe):
    """What every verb takes that may ask servers."""

    concurrency: int = Field(
        32, ge=1, description="Requests under way at a time, shared evenly by the servers of an http engine."
    )
    timeout_s: float = Field(
        600.0, gt=0, description="Seconds after which a request to a server is tried again."
    )
    patience_s: float = Field(
        600.0, ge=0, description="Seconds to wait for servers that are away before the run stops, resumable."
    )


class Connecting(Seeing, Requesting):
    """What every verb takes that connects engines: the fields of ROLES name them."""

    ROLES: ClassVar[tuple[str, ...]] = ()

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Numbers that engines in process compute with; auto is what they were saved in."
    )
    tensor_parallel: int = Field(1, ge=1, description="GPUs that share a vllm engine's model.")
    memory_share: float = Field(
        0.4, gt=0, le=1, description="Share of the GPU's or the machine's memory that a vllm engine takes."
    )

    def engines(self) -> list[str]:
        """The engines of all roles, each once."""
        return list(dict.fromkeys(spec for role in self.ROLES if (spec := getattr(self, role))))

    def idle(self) -> dict[str, str]:
        idle = idle_options(*self.engines())
        if "dtype" in idle:
            idle["precision"] = idle.pop("dtype")
        fields = type(self).model_fields
        return {**super().idle(), **{name: needed for name, needed in idle.items() if name in fields}}

    @model_validator(mode="after")
    def _refuse_more_than_the_memory(self) -> Self:
        n = sum(engine_kind(spec) == "vllm" for spec in self.engines())
        if n * self.memory_share > 1:
            raise ValueError(
                f"expected memory_share of at most {1 / n:.2f} for {n} vllm engines, found {self.memory_share}; give "
                "each a smaller one"
            )
        return self

    def engine_options(self, max_completion_tokens: int, responses: Path | None = None) -> dict[str, Any]:
        """The options of `engine.connect` in these fields, for an engine that answers at most so many tokens."""
        return {
            **self.seeing(),
            "dtype": self.precision,
            "max_completion_tokens": max_completion_tokens,
            "tensor_parallel": self.tensor_parallel,
            "memory_share": self.memory_share,
            "concurrency": self.concurrency,
            "timeout_s": self.timeout_s,
            "patience_s": self.patience_s,
            "responses": responses,
        }


class Decoding(Recipe):
    """What every verb takes that says how an engine samples; each has its own temperature."""

    temperature: float = Field(0.0, ge=0, description="Sampling temperature; 0 takes the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus of the sampling.")
    top_k: int = Field(0, ge=0, description="Sample among so many likeliest tokens; 0 is off.")
    repetition_penalty: float = Field(
        1.0,
        ge=1,
        le=10,
        description="Divides the logits of tokens that stand in the prompt or were said already; 1 is off.",
    )

    def idle(self) -> dict[str, str]:
        greedy = {} if self.temperature else dict.fromkeys(("top_p", "top_k"), "temperature above 0")
        return {**super().idle(), **greedy}

    def sampling(self, n: int, max_tokens: int, seed: int = 0) -> dict[str, Any]:
        """The words of `engine.Sampling` for n completions of at most so many tokens."""
        names = Decoding.model_fields.keys() - Recipe.model_fields.keys()
        return {
            "n": n,
            "max_tokens": max_tokens,
            "seed": seed,
            **{name: getattr(self, name) for name in names},
        }


class Answering(Asking, Connecting):
    """What every verb takes that lets an engine answer the problems."""

    ROLES = ("model",)

    model: str = Field(
        description="Engine: hf:PATH, vllm:PATH, http://HOST/v1#MODEL, script:FILE.jsonl, a run directory, or world.",
        examples=["runs/grpo/a"],
    )
    shard: Shard | None = Field(None, description=SHARD)
    responses: Path | None = Field(
        None, description="File that keeps servers' answers, to ask nothing twice; in the run when not given."
    )


Paths = Annotated[list[Path], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""Several paths, or one."""
T = TypeVar("T", bound=Recipe)


def fill(kind: type[T], words: Sequence[str], verb: str | None = None) -> T:
    """A recipe from `[RECIPE.yaml] [field=value ...]`. Raises UsageError that names the field and the nearest one.

    A file that names another verb than `verb` is refused: its fields mean something else there.

    >>> fill(Recipe, ["seed=3"]).seed
    3
    >>> fill(Recipe, ["sed=3"])
    Traceback (most recent call last):
        ...
    visreason.errors.UsageError: unknown field 'sed'; did you mean 'seed'? Fields: out, seed
    """
    values: dict[str, Any] = {}
    for i, word in enumerate(words):
        if i == 0 and word.endswith((".yaml", ".yml", ".json")) and "=" not in word:
            values.update(_file(Path(word), verb))
        elif "=" in word:
            name, _, text = word.partition("=")
            values[name.strip()] = _value(kind, name.strip(), text)
        else:
            raise UsageError(f"expected field=value, found {word!r} (a recipe file, if any, comes first)")
    for name in values:
        if name not in kind.model_fields:
            raise unknown("field", name, kind.model_fields)
    try:
        return kind(**values)
    except ValidationError as e:
        raise UsageError("; ".join(_sentence(kind, err) for err in e.errors())) from e


def default_out(verb: str, recipe: Recipe) -> Path:
    """`recipe.out`, or a directory named by the recipe's content, so that the same command finds its run again."""
    if recipe.out is not None:
        return recipe.out
    text = json.dumps(recipe.model_dump(mode="json", exclude={"out"}), sort_keys=True)
    return Path("runs") / verb / hashlib.sha256(text.encode()).hexdigest()[:8]


def describe(kind: type[Recipe]) -> list[tuple[str, str, str, str]]:
    """Rows (field, type, default, sentence) for `--help`, required fields first."""
    rows = []
    for name, f in sorted(kind.model_fields.items(), key=lambda item: not item[1].is_required()):
        default = (
            "required"
            if f.is_required()
            else json.dumps(f.get_default(call_default_factory=True), default=str)
        )
        rows.append((name, type_words(f.annotation), default, f.description or ""))
    return rows


def type_words(annotation: Any) -> str:
    """A field's type as `--help` says it.

    >>> [type_words(t) for t in (Shard | None, Literal["a", "b"], tuple[Path, ...], dict[str, str | int])]
    ['str | None', 'a | b', 'tuple[Path]', 'dict[str, str | int]']
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(parts[0])
    if origin is Literal:
        return " | ".join(map(str, parts))
    if origin in (Union, UnionType):
        return " | ".join(type_words(p) for p in parts)
    if parts:
        return f"{origin.__name__}[{', '.join(type_words(p) for p in parts if p is not ...)}]"
    return "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))


def _file(path: Path, verb: str | None) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"can't read the recipe {path}: {getattr(e, 'strerror', None) or e}") from e
    except yaml.YAMLError as e:
        raise UsageError(f"{path} is not YAML: {e}") from e
    if not isinstance(values, dict):
        raise UsageError(f"expected fields in {path}, found {type(values).__name__}")
    named = values.pop("verb", verb)
    if verb is not None and named != verb:
        raise UsageError(
            f"expected a recipe of {verb} in {path}, found one of {named}; give it to visreason {named}"
        )
    return {str(k): v for k, v in values.items()}


def _value(kind: type[Recipe], name: str, text: str) -> Any:
    """Lists, objects and null are read as YAML; any other word stays text, which the field's type then reads, as does
    every word of a field that takes text alone."""
    field = kind.model_fields.get(name)
    takes_text = field is not None and field.annotation in (str, str | None)
    if (text[:1] in ("[", "{") and not takes_text) or text in ("null", ""):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text


def _sentence(kind: type[Recipe], error: Any) -> str:
    name = ".".join(str(p) for p in error["loc"]) or "recipe"
    field = kind.model_fields.get(name)
    if error["type"] == "missing" and field is not None:
        return f"{name} is needed: {field.description} Give {name}=..."
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{name}: {error['msg']}, found {error['input']!r}"
