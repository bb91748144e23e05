"""Small components to check flow files against."""

from nomadflows.model.component import ComponentVersion

FILES = {
    "title": "Files",
    "triggers": {
        "watch": {
            "type": "polling",
            "main": "watch",
            "fields": {
                "path": {"label": "Folder", "required": True, "viewClass": "TextFieldView"},
                "format": {
                    "label": "Format",
                    "required": True,
                    "viewClass": "SelectView",
                    "model": {"csv": "CSV", "jsonl": "JSON lines"},
                },
                "recursive": {"label": "With subfolders", "viewClass": "CheckBoxView"},
            },
        }
    },
    "actions": {"write": {"main": "write", "fields": {"path": {"required": True}}}},
}
HOOK = {"title": "Webhook", "triggers": {"receive": {"main": "receive"}}}
SQL = {
    "title": "SQL",
    "credentials": {"fields": {"url": {"label": "Address"}, "password": {"label": "Password"}}},
    "actions": {
        "upsert": {"main": "upsert", "fields": {"table": {"label": "Table", "required": True}, "key": {}}},
        "query": {"main": "query", "fields": {"sql": {"required": True}}},
    },
}
LOG = {"title": "Log", "actions": {"write": {"main": "write", "fields": {"level": {}}}}}


def component(name: str, descriptor: dict, version: str = "1.0.0") -> ComponentVersion:
    return ComponentVersion(name=name, version=version, language="python", descriptor=descriptor)


COMPONENTS = {
    "files": [component("files", FILES)],
    "hook": [component("hook", HOOK)],
    "sql": [component("sql", SQL, "1.1.0"), component("sql", {**SQL, "actions": {"upsert": SQL["actions"]["upsert"]}})],
    "log": [component("log", LOG)],
}
