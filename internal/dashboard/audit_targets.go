package dashboard

import (
	"encoding/json"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
)

// auditTarget is what an entry of the log is about, as far as it has a name and a page.
type auditTarget struct {
	name, href string
	// gone is said of what is no more.
	gone string
}

// auditRows are the rows of a list of the log.
func (p *page) auditRows(entries []audit.Entry) ([]pages.AuditRow, error) {
	targets, err := p.auditTargets(entries)
	if err != nil {
		return nil, err
	}
	rows := make([]pages.AuditRow, len(entries))
	for i, e := range entries {
		rows[i] = p.auditRow(e, targets[e.TargetID])
	}
	return rows, nil
}

// auditTargets finds out what the entries are about. What is gone keeps the name it is known by last.
func (p *page) auditTargets(entries []audit.Entry) (map[string]auditTarget, error) {
	named := map[string]map[string]string{} // by kind and id, the name that an entry itself tells
	for _, e := range entries {
		if named[e.TargetType] == nil {
			named[e.TargetType] = map[string]string{}
		}
		var told struct {
			Name  string `json:"name"`
			KeyID string `json:"key_id"`
		}
		_ = json.Unmarshal(e.Metadata, &told) // a row without these members tells no name
		if known := named[e.TargetType][e.TargetID]; known == "" {
			named[e.TargetType][e.TargetID] = told.Name + told.KeyID
		}
	}
	targets := map[string]auditTarget{}
	for kind, names := range named {
		for text, name := range names {
			targets[text] = auditTarget{name: name, href: targetPath(kind, text)}
		}
	}
	tx, organization := p.DB.Reader(p.Ctx), p.Actor.Organization
	var endpoints map[id.Endpoint]webhook.Endpoint
	if len(named["webhook_endpoint"])+len(named["webhook_key"]) > 0 {
		var err error
		if endpoints, err = webhook.FindAll(tx, organization); err != nil {
			return nil, err
		}
	}
	for text := range named["webhook_endpoint"] {
		endpoint, _ := id.Parse[id.EndpointKind](text)
		if e, ok := endpoints[endpoint]; ok {
			t := auditTarget{name: e.DisplayName(), href: endpointPath(endpoint)}
			if e.DeletedAt != nil {
				t.gone = "deleted"
			}
			targets[text] = t
		}
	}
	keys, err := webhook.KeysByID(tx, organization, idsOf[id.KeyKind](named["webhook_key"]))
	if err != nil {
		return nil, err
	}
	for key, k := range keys {
		t := auditTarget{name: k.KeyID, href: link(findPath, "q", key.String())}
		if e, ok := endpoints[k.WebhookEndpointID]; !ok || e.DeletedAt != nil {
			t.href, t.gone = "", "endpoint deleted"
		}
		targets[key.String()] = t
	}
	people, err := org.People(tx, organization, idsOf[id.UserKind](named["user"]))
	if err != nil {
		return nil, err
	}
	for usr, person := range people {
		t := auditTarget{name: person.Name, href: link(findPath, "q", usr.String())}
		if !person.Member {
			t.href, t.gone = "", "no member any more"
		}
		targets[usr.String()] = t
	}
	apiKeys := idsOf[id.APIKeyKind](named["api_key"])
	names, err := apikey.Names(tx, organization, apiKeys)
	if err != nil {
		return nil, err
	}
	for _, key := range apiKeys {
		t := targets[key.String()]
		if name, ok := names[key]; ok {
			t.name = name
		} else {
			t.href, t.gone = "", "deleted"
		}
		if !p.Can(access.APIKeysManage) {
			t.href = ""
		}
		targets[key.String()] = t
	}
	return targets, nil
}

// idsOf reads the ids among the keys of a map.
func idsOf[K id.Kind](texts map[string]string) []id.ID[K] {
	var ids []id.ID[K]
	for text := range texts {
		if v, err := id.Parse[K](text); err == nil {
			ids = append(ids, v)
		}
	}
	return ids
}

// targetPath is the page of what an audit row is about, or "" when it has none.
func targetPath(kind, text string) string {
	switch kind {
	case "webhook_endpoint":
		return "/endpoints/" + text
	case "webhook_delivery":
		return deliveriesPath + "/" + text
	case "webhook_event":
		return eventsPath + "/" + text
	case "webhook_job":
		return jobsPath + "/" + text
	case "session", "verification_session":
		return sessionsPath + "/" + text
	case "api_key", "user", "webhook_key":
		return link(findPath, "q", text)
	case "invitation":
		return membersPath
	case "organization":
		return settingsPath
	case "queue":
		return queuePath + "/" + text
	}
	return ""
}

// targetKind names the kind of a target.
func targetKind(kind, gone string) string {
	words := strings.ReplaceAll(strings.Replace(kind, "api_", "API_", 1), "_", " ")
	if gone != "" {
		words += ", " + gone
	}
	return words
}
