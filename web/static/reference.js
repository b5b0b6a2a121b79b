// Shows the API's document with Swagger UI. Everything comes from this server; nothing is sent elsewhere.
document.addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("reference");
  SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
  });
});
