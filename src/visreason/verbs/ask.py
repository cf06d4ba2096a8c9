"""Put one question about images to an engine; its thought and its answer are shown apart."""

from pathlib import Path

from pydantic import Field
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from visreason.engine import Sampling, connect
from visreason.errors import DataError
from visreason.prompt import image_record, messages, style
from visreason.recipe import Connecting, Decoding, Paths
from visreason.record import Problem
from visreason.store import of_other_style


class Recipe(Connecting, Decoding):
    """The question and what answers it."""

    ROLES = ("model",)

    model: str = Field(
        description="Engine: hf:PATH, vllm:PATH, http://HOST/v1#MODEL, script:FILE.jsonl, or a run directory.",
        examples=["runs/grpo/a"],
    )
    question: str = Field(description="The question.", examples=["'Which bar is the highest?'"])
    image: Paths = Field([], description="Image file, or a list of them.", examples=["chart.png"])
    choices: list[str] = Field([], description="Option texts, where the question has options.")
    style: str = Field("awaker", description="How the question is put to the model.")
    max_completion_tokens: int = Field(4096, ge=1, description="Longest answer.")


def run(recipe: Recipe, out: Path) -> None:
    """Ask and print; nothing is written. Raises DataError when an image can't be read or the prompt is too long."""
    layout = style(recipe.style)
    if said := of_other_style(recipe.model, recipe.style):
        Console(stderr=True).print(f"[yellow]{said}")
    images = tuple(image_record(path) for path in recipe.image)
    problem = Problem("ask", recipe.question, images, choices=tuple(recipe.choices))
    engine = connect(recipe.model, **recipe.engine_options(recipe.max_completion_tokens))
    sampling = Sampling(**recipe.sampling(1, recipe.max_completion_tokens, recipe.seed))
    completion = engine.generate([messages(problem, layout)], sampling)[0][0]
    if completion.finish == "error":
        raise DataError(completion.text)
    parsed = layout.parse(completion.text)
    console = Console()
    if parsed.thought:
        console.print(Panel(Text(parsed.thought), title="thought", border_style="dim"))
    console.print(Panel(Text(parsed.answer or completion.text), title="answer", border_style="bold"))
    if completion.finish == "length":
        console.print(f"cut off after {recipe.max_completion_tokens} tokens; raise max_completion_tokens")
