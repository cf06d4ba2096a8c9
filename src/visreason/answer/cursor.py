"""A place in a list of tokens, which a grammar moves on."""

from visreason.answer.tokens import NotMaths


class Cursor:
    """Tokens, of which `at` is the next one. Each method that needs a token raises NotMaths where there is none."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise NotMaths
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise NotMaths

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def end(self) -> None:
        if self.at != len(self.tokens):
            raise NotMaths

    def until(self, closing: str) -> list[str]:
        found = []
        while (token := self.take()) != closing:
            found.append(token)
        return found
