"""How a problem is put to a model and how its completion is laid out: texts, styles, messages, images. No torch."""

from visreason.prompt.chat import messages
from visreason.prompt.images import image_record, open_image
from visreason.prompt.layouts import Parsed
from visreason.prompt.styles import STYLES, Style, style

__all__ = ["STYLES", "Parsed", "Style", "image_record", "messages", "open_image", "style"]
