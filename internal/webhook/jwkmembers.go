package webhook

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"kaylehooks/internal/fault"
)

// privateMembers are the members of RFC 7518 that only a private RSA key has.
var privateMembers = []string{"d", "dp", "dq", "oth", "p", "q", "qi"}

// foreignOps are key operations that a key for encryption does not allow.
var foreignOps = []string{"decrypt", "deriveBits", "deriveKey", "sign", "unwrapKey"}

// Bounds of members (JWK_BOUNDS).
const (
	maxMemberText    = 8192
	maxMemberList    = 8
	maxListText      = 64
	maxMemberNesting = 16 // deeper values are refused anyway; this spares the decoder the work
)

var memberTextBounds = map[string]int{"n": maxMemberText, "e": 64, "alg": 64, "use": 32}

// memberName is what may be repeated of a member's name in an answer.
var memberName = regexp.MustCompile(`^[A-Za-z0-9_#:.-]{1,64}$`)

// readObject reads one JSON object without nulls' and duplicates' ambiguity: encoding/json keeps the last of two
// members of one name, another reader the first, and they would see different keys.
func readObject(raw json.RawMessage) (members map[string]json.RawMessage, problem string) {
	const notObject = "must be a JSON object"
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, "is required"
	}
	if !utf8.Valid(raw) || tooDeep(raw) || !json.Valid(raw) {
		return nil, notObject
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, notObject
	}
	members = map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, notObject
		}
		text, ok := name.(string)
		var value json.RawMessage
		if !ok || dec.Decode(&value) != nil {
			return nil, notObject
		}
		if _, twice := members[text]; twice {
			return nil, "has a member twice"
		}
		members[text] = value
	}
	return members, ""
}

// tooDeep reports nesting that no JWK has. Brackets inside strings count too, which only makes it stricter.
func tooDeep(raw []byte) bool {
	depth := 0
	for _, b := range raw {
		switch b {
		case '{', '[':
			if depth++; depth > maxMemberNesting {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// checkMembers applies JWK_BOUNDS and asks for kty, n and e.
func checkMembers(members map[string]json.RawMessage) []fault.Field {
	var bad []fault.Field
	for _, name := range []string{"kty", "n", "e"} {
		if _, ok := members[name]; !ok {
			bad = append(bad, fault.Field{Name: "jwk." + name, Message: "is required"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if problem := checkMember(name, members[name]); problem != "" {
			field := "jwk"
			if memberName.MatchString(name) {
				field = "jwk." + name
			}
			bad = append(bad, fault.Field{Name: field, Message: problem})
			if len(bad) >= fault.MaxFields {
				break
			}
		}
	}
	return bad
}

func checkMember(name string, raw json.RawMessage) string {
	bound, isText := memberTextBounds[name]
	switch {
	case isText:
	case name == "kty", name == "kid":
		isText, bound = true, maxMemberText
	default:
		bound = maxMemberText
	}
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&value) != nil {
		return "is not valid"
	}
	text, gotText := value.(string)
	list, gotList := value.([]any)
	switch {
	case gotText && name != "key_ops":
		if utf8.RuneCountInString(text) > bound {
			return "must have at most " + strconv.Itoa(bound) + " characters"
		}
		return ""
	case isText:
		return "must be a string"
	case gotList:
		return checkList(list)
	case name == "key_ops":
		return "must be an array of strings"
	}
	switch v := value.(type) {
	case bool:
		return ""
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return "must be a finite number"
		}
		return ""
	case nil:
		return "must not be null"
	}
	return "must not be an object"
}

func checkList(list []any) string {
	if len(list) > maxMemberList {
		return "must have at most " + strconv.Itoa(maxMemberList) + " entries"
	}
	for _, entry := range list {
		text, ok := entry.(string)
		if !ok {
			return "must be an array of strings"
		}
		if utf8.RuneCountInString(text) > maxListText {
			return "must have entries of at most " + strconv.Itoa(maxListText) + " characters"
		}
	}
	return ""
}

func checkKeyOps(members map[string]json.RawMessage) string {
	raw, ok := members["key_ops"]
	if !ok {
		return ""
	}
	var ops []string
	if json.Unmarshal(raw, &ops) != nil || !slices.Contains(ops, "encrypt") {
		return "must contain encrypt when present"
	}
	for _, op := range foreignOps {
		if slices.Contains(ops, op) {
			return "must not contain " + op
		}
	}
	return ""
}

// textMember returns a member that is a string, or "".
func textMember(members map[string]json.RawMessage, name string) string {
	var s string
	if json.Unmarshal(members[name], &s) != nil {
		return ""
	}
	return s
}
