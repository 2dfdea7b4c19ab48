"""A resource as people name it: by its name, which lies in their resource group, or by its id, wherever it lies."""

import re
from dataclasses import dataclass
from typing import Final, Self

_ID: Final = re.compile(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/[^/]+/[^/]+/([^/]+)/?", re.IGNORECASE)


@dataclass(frozen=True)
class Located:
    """Where a named resource is: the ids and names as they were written."""

    subscription: str
    group: str
    name: str

    @classmethod
    def of(cls, named: str, subscription: str, group: str) -> Self:
        """What `named` means in that resource group; what is no id of a resource is a name."""
        found = _ID.fullmatch(named)
        return cls(*found.groups()) if found else cls(subscription, group, named)

    def id_of(self, kind: str) -> str:
        """Its resource id, of a type such as `Microsoft.App/managedEnvironments`."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{kind}/{self.name}"

    def is_in(self, subscription: str, group: str) -> bool:
        """Whether that is its resource group; Azure does not look at the case of either."""
        return (self.subscription.lower(), self.group.lower()) == (subscription.lower(), group.lower())


def id_pattern(kind: str, name: str) -> str:
    """A regular expression, also of JavaScript, for the id of a resource of that type whose name matches `name`."""

    def any_case(text: str) -> str:
        return "".join(f"[{one.lower()}{one.upper()}]" if one.isalpha() else re.escape(one) for one in text)

    group = any_case("/resourceGroups/")
    return f"{any_case('/subscriptions/')}[^/]+{group}[^/]+{any_case(f'/providers/{kind}/')}(?:{name})"
