"""What htmx may do on our pages. It reads this from a meta tag, so the strict CSP holds."""

import json

HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        "historyCacheSize": 0,  # patient pages stay out of the browser's storage
        "refreshOnHistoryMiss": True,
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            # A refused form comes back with its sentences and has to be seen.
            {"code": "4(09|12|22)", "swap": True},
            {"code": "[45]..", "swap": False, "error": True},
        ],
    }
)
