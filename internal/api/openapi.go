package api

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"kaylehooks/internal/event"
)

// humaConfig leaves out what huma would add to responses, and every route of its own.
func (d *door) humaConfig() huma.Config {
	format := huma.Format{Marshal: encodeTo, Unmarshal: decodeBody}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Kaylehooks", Version: d.Version,
				Description: "Results of identity checks as encrypted, signed webhooks. Every response with a body has the members data and error; lists also have pagination.",
			},
			Servers: []*huma.Server{{URL: d.PublicURL}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"apiKey": {Type: "http", Scheme: "bearer", Description: "An API key, kk_ and 32 characters."},
				},
			},
			OnAddOperation: []huma.AddOpFunc{func(_ *huma.OpenAPI, op *huma.Operation) { documentResponses(op) }},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
	}
	config.AllowAdditionalPropertiesByDefault = true
	return config
}

// describe says in the document what a route needs.
func describe(op *huma.Operation, r route) {
	if !r.public() {
		op.Security = []map[string][]string{{"apiKey": {}}}
		op.Description = "Needs the scope " + string(r.scope) + "."
		op.Extensions = map[string]any{"x-scope": string(r.scope)}
	}
	if r.idempotent {
		longest := 255
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Description: "Within 24 hours the same key and request give the first response again.",
			Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &longest},
		})
	}
}

// documentResponses puts right what huma assumes about errors: there is no 422, and each response has its headers.
func documentResponses(op *huma.Operation) {
	delete(op.Responses, "422")
	for status, response := range op.Responses {
		header := func(name, description string) {
			if response.Headers == nil {
				response.Headers = map[string]*huma.Header{}
			}
			response.Headers[name] = &huma.Header{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
		}
		header("X-Request-Id", "Name it when you report a problem.")
		switch status {
		case strconv.Itoa(http.StatusTooManyRequests):
			header("Retry-After", "Whole seconds to wait.")
		case strconv.Itoa(http.StatusConflict):
			header("Retry-After", "Only while the first request with the same Idempotency-Key is running.")
		}
	}
}

func operationAt(doc *huma.OpenAPI, method, path string) *huma.Operation {
	item := doc.Paths[path]
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	panic("api: no such method in the document: " + method)
}

// payloadMetadata is the same in every payload (contract section 3.1).
type payloadMetadata struct {
	ContractVersion       int     `json:"contract_version" enum:"1"`
	EventID               string  `json:"event_id" doc:"The same in every attempt; drop repeats by it."`
	VerificationSessionID *string `json:"verification_session_id" doc:"Null for webhook.test."`
}

// webhooks describes the decrypted payloads.
func webhooks(doc *huma.OpenAPI) map[string]*huma.PathItem {
	registry := doc.Components.Schemas
	metadata := registry.Schema(reflect.TypeFor[payloadMetadata](), true, "")
	all := map[string]*huma.PathItem{}
	for _, data := range []event.Data{event.SucceededData{}, event.FailedData{}, event.ExpiredData{}, event.CancelledData{}, event.TestData{}} {
		name := string(event.TypeOf(data))
		payload := &huma.Schema{
			Type: huma.TypeObject, Required: []string{"type", "metadata", "data"},
			Properties: map[string]*huma.Schema{
				"type":     {Type: huma.TypeString, Enum: []any{name}},
				"metadata": metadata,
				"data":     registry.Schema(reflect.TypeOf(data), true, ""),
			},
		}
		all[name] = &huma.PathItem{Post: &huma.Operation{
			OperationID: "on." + name, Summary: name, Tags: []string{"webhooks"},
			Description: "What the body holds once it is decrypted. It is sent as a compact JWE with Content-Type application/jose, signed in X-Kayle-Signature.",
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: payload}}},
			Responses:   map[string]*huma.Response{"2XX": {Description: "Received. Any other status is tried again."}},
		}}
	}
	registry.Map()["SucceededData"].Properties["claims"].AdditionalProperties = &huma.Schema{
		Description: "Every key of the session's share contract: a string, or a boolean for an age gate; null when it was not selected.",
		OneOf:       []*huma.Schema{{Type: huma.TypeString, Nullable: true}, {Type: huma.TypeBoolean}},
	}
	return all
}

// documentRoutes serves the document. It is encoded once: it cannot change while the process runs.
func (d *door) documentRoutes() {
	doc := d.api.OpenAPI()
	doc.Webhooks = webhooks(doc)
	encoded, err := encode(doc)
	if err != nil {
		panic("api: encode the OpenAPI document: " + err.Error())
	}
	d.mux.HandleFunc("GET /openapi", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encoded)
	})
}
