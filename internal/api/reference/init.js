// Read-only, and without the button to enter a key: a page that anyone can open is no place to paste API keys into.
const hidden = () => () => null;
SwaggerUIBundle({
  url: "/openapi", dom_id: "#reference", deepLinking: true, supportedSubmitMethods: [], validatorUrl: null,
  plugins: [() => ({ wrapComponents: { authorizeBtn: hidden, authorizeOperationBtn: hidden } })],
});
