// Starts Swagger UI. Cookies of a signed-in browser go along; our server needs no CSRF header from its own pages.
"use strict";

const box = document.getElementById("swagger-ui");
window.ui = SwaggerUIBundle({
  url: box.dataset.schema,
  domNode: box,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null, // the badge would be fetched from somebody else's server
  persistAuthorization: false,
});
