package pages_test

import (
	"time"

	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

func keyForm() *pages.KeyForm {
	base := "/endpoints/" + riskID + "/keys"
	return &pages.KeyForm{
		Action: base, CheckAction: base + "/check", Private: "PRIVATE KEY",
		Text:  ui.Textarea{ID: "keytext", Name: "keytext", Label: "Public key", Rows: 9, Sensitive: true, Hint: "JWK, JWKS, PEM or certificate. RSA, 2048 to 8192 bit. At most 64 KiB."},
		KeyID: ui.Field{ID: "keyid", Name: "key_id", Label: "Key id", Mono: true, Hint: "Sent as kid in each message. Left empty, it is made from the thumbprint."},
	}
}

func endpointKeys() pages.EndpointKeys {
	form := keyForm()
	form.Text.Value = "-----BEGIN PUBLIC KEY-----\nMIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAq3vX0m1c9YkJ8sZr2wLh\n(sample)\n-----END PUBLIC KEY-----"
	form.KeyID.Value, form.KeyID.Error = "risk-2025", "risk-2025 is taken by a retired key of this endpoint."
	form.Check = pages.KeyCheck{
		Badge: &ui.Badge{Tone: ui.Bad, Icon: "cross", Label: "1 of 9 rules failed"},
		Rules: []ui.Rule{
			{State: "pass", Text: "Kind recognised", Got: "PEM, SPKI"},
			{State: "pass", Text: "No private parts"},
			{State: "pass", Text: "RSA modulus 2048 to 8192 bit", Got: "3072"},
			{State: "pass", Text: "Exponent odd, 3 or more", Got: "65537"},
			{State: "pass", Text: "use, key_ops, alg allow encryption", Got: "not given"},
			{State: "fail", Text: "Key id is free on this endpoint", Got: "risk-2025", Sub: "Use another id, or reactivate the retired key."},
			{State: "pass", Text: "Not a copy of another key"},
			{State: "pass", Text: "Trial encryption works", Got: "384 bytes"},
			{State: "skip", Text: "Receiver decrypts", Sub: "Send a test event after the key is active."},
		},
		Facts: []ui.Fact{{Term: "RFC 7638", Text: "Yb7Kp2MvXq9LdT4sRz1WcH6nJfA3gUe8oViNk5tQm0E", Hash: true, Copy: "Copy thumbprint"}},
	}
	form.Preview = "If you activate now: new deliveries use the new key; 501 waiting deliveries stay encrypted to risk-2026. Keep its private half until Mar 14, 18:02 UTC."
	verified := ui.Badge{Tone: ui.OK, Icon: "check", Label: "Verified"}
	hashes := []ui.Fact{
		{Term: "RFC 7638", Text: "b0XtE7mVq2RzY5kLw9PdHs3JfNc6AoGi1UeT8vKx4MQ", Pre: "jose jwk thp -i key.jwk"},
		{Term: "SPKI SHA-256", Text: "3f9a1c77e05d2b846c0e91ab5d7730f2c4e86b19d2705fa3819be4c06d1f7a25", Pre: "openssl pkey -pubin -in key.pem -outform DER | sha256sum"},
	}
	retired := func(id, sub, active, n string) pages.RetiredKey {
		return pages.RetiredKey{KeyID: id, Sub: sub, Badge: ui.Badge{Tone: ui.Neutral, Icon: "pause", Label: "Retired"}, Verified: verified, Hashes: hashes, Active: active, Used: "never used", Encrypted: n, Waiting: "0", Actions: []ui.Action{{Label: "Reactivate", Name: "Reactivate " + id, Href: "/keys/" + id + "/reactivate", Small: true, Dialog: true}}}
	}
	staged := retired("risk-2027", "3072 bit, added by Ana Lindqvist", "Mar 6, 2026", "")
	staged.Badge, staged.Verified = ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Staged"}, ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: "Not verified"}
	staged.Actions = []ui.Action{{Label: "Verify", Icon: "check", Name: "Verify risk-2027", Href: "/keys/x/challenge", Post: true, Small: true}, {Label: "Activate…", Icon: "play", Name: "Activate risk-2027", Href: "/keys/x/reactivate", Small: true, Dialog: true}}
	return pages.EndpointKeys{
		Shell: shell("Risk engine keys", "/endpoints"), Head: head("Keys", failing), Add: form,
		Active: &pages.KeyView{
			Badges: []ui.Badge{{Tone: ui.OK, Icon: "play", Label: "Active"}, verified},
			Left: []ui.Fact{
				{Term: "Key id", Text: "risk-2026", Mono: true},
				{Term: "Record", ID: nid("whk_01kexz8ye0fx49yr10knfm929c", "key record id", "")},
				{Term: "Algorithm", Text: "RSA-OAEP-256 with A256GCM", Sub: "3072 bit, e 65537"},
				{Term: "Added", Time: ptr(exact(1324 * time.Hour)), Sub: "by Ana Lindqvist"},
				{Term: "Used", Text: "48,112 deliveries", Sub: "501 encrypted to it are not delivered yet"},
			},
			Right: []ui.Fact{
				{Term: "RFC 7638", Text: "nU3qF1vZkRm0tW5yB8eJdLxPaGh2sCi7oQ4uEwNc8x0", Hash: true, Copy: "Copy RFC 7638 thumbprint", Pre: "jose jwk thp -i key.jwk"},
				{Term: "SPKI SHA-256", Text: "3f9a1c77e05d2b846c0e91ab5d7730f2c4e86b19d2705fa3819be4c06d1f7a25", Hash: true, Copy: "Copy SPKI SHA-256", Pre: "openssl pkey -pubin -in key.pem -outform DER | sha256sum"},
			},
			Actions: []ui.Action{{Label: "Send test", Icon: "flask", Href: "/endpoints/" + riskID + "/test", Post: true, Small: true}, {Label: "Public JWK", Icon: "down", Href: "/keys/x/jwk", Small: true, Download: true}, {Label: "Deactivate", Href: "/keys/x/deactivate", Post: true, Small: true, Kind: "danger"}},
		},
		Staged: []pages.RetiredKey{staged},
		Challenges: []pages.KeyChallenge{{
			ID: "challenge-1", KeyID: "risk-2027", Action: "/keys/x/verify", EventHref: "/events/x", State: ui.Badge{Tone: ui.OK, Icon: "check", Label: "Succeeded"},
			Code: ui.Field{ID: "code", Name: "challenge", Label: "Code that the receiver read", Mono: true, Required: true, Placeholder: "kch_…", Hint: "In the message of the test event, which only the private half of risk-2027 opens."},
		}},
		Retired:   []pages.RetiredKey{retired("risk-2025", "3072 bit, added by Ana Lindqvist", "Nov 5, 2025 – Jan 14, 2026", "21,904"), retired("risk-pilot", "3072 bit, added by Jonas Vik", "Nov 3 – Nov 5, 2025", "37")},
		RetireNow: "Keys are never deleted",
		Generate:  []pages.Snippet{{ID: "gen-openssl", Title: "OpenSSL", Code: "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out kayle-private.pem\nopenssl pkey -in kayle-private.pem -pubout -out kayle-public.pem", Note: "Upload kayle-public.pem; keep the other file."}, {ID: "gen-cli", Title: "Our command", Code: "web keygen --out kayle"}},
	}
}

func endpointKeysNone() pages.EndpointKeys {
	v := endpointKeys()
	v.Shell.Title = "Risk engine keys, none active"
	v.Head, v.Active, v.Add = head("Keys", noKey), nil, keyForm()
	v.Blocked = &ui.Alert{Tone: ui.Bad, Icon: "blocked", Title: "New deliveries to this endpoint are blocked until a key is active", Text: "31 events could not be encrypted for it and will not be sent later. Add a key below, or reactivate a retired one."}
	v.Add.Check = pages.KeyCheck{Private: true}
	return v
}

func endpointSecret() pages.EndpointSecret {
	base := "/endpoints/" + riskID + "/secret/"
	return pages.EndpointSecret{
		Shell: shell("Risk engine secret", "/endpoints"), Head: head("Secret", failing),
		Facts:        []ui.Fact{{Term: "Secret", Text: "whsec_••••••••••••••••", Mono: true}, {Term: "Created", Time: ptr(exact(20 * time.Hour)), Sub: "by Ana Lindqvist, on rotation"}, {Term: "Last used", Time: ptr(ago(41 * time.Second))}, {Term: "Revealed", Text: "never"}},
		Overlap:      &pages.Overlap{Text: "Two secrets sign every request.", Left: in(200 * time.Minute), Waiting: ui.Link{Label: "12 waiting deliveries", Href: "/deliveries"}, Next: " would be signed with the new secret only, were the overlap to end now.", EndHref: base + "end-overlap"},
		RotateAction: base + "rotate", ForceNeeded: true, RotateNote: "The new secret signs at once. During the overlap both signatures are sent, the new one first.",
		OverlapHours: ui.CheckGroup{Name: "overlap", Legend: "Keep the current secret signing for", Radio: true, Options: []ui.Check{{Value: "0", Label: "No overlap", Hint: "If it has leaked"}, {Value: "1", Label: "1 hour"}, {Value: "24", Label: "24 hours", Checked: true}, {Value: "72", Label: "72 hours"}, {Value: "168", Label: "7 days"}}},
		RevealAction: base + "reveal", NeedPassword: true, RevealHint: "The password is asked again after 10 minutes. Every reveal is audited.",
		Password: ui.Field{ID: "reveal-password", Name: "password", Label: "Your password", Type: "password", Required: true, Autocomplete: "current-password"},
	}
}

func endpointSecretShown() pages.EndpointSecret {
	v := endpointSecret()
	v.Shell.Title = "Risk engine secret, shown once"
	v.Overlap, v.ForceNeeded = nil, false
	v.Shown = &pages.SecretOnce{ID: "secret", Label: "New signing secret", Value: "whsec_0000sample0000sample0000sample00", HideAfter: 60, Note: "Copy it to the receiver now. It disappears from this page after 60 seconds."}
	return v
}
