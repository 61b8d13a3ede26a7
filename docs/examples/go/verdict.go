// Verifies verdicts, whichever kind of key signs. It needs only Go's standard library, relies on
// the gateway's key set alone, and never lets a verdict choose its key or its algorithm.

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Claims are the claims of a verdict.
type Claims struct {
	Issuer     string `json:"iss"`
	Audience   string `json:"aud"`
	User       string `json:"sub"`
	UserIssuer string `json:"sub_iss"`
	Issued     int64  `json:"iat"`
	Expires    int64  `json:"exp"`
	ID         string `json:"jti"`
	Nonce      string `json:"nonce"`
	Token      struct {
		Transaction string `json:"txn"`
	} `json:"token_claims"`
	Liveness struct {
		Passed bool `json:"passed"`
	} `json:"liveness"`
}

// verifier checks a signature. The kind of key decides which algorithm it is for.
type verifier struct {
	algorithm string
	verify    func(signed, signature []byte) bool
}

// Checker verifies the verdicts of one gateway.
type Checker struct {
	URL, Issuer, Audience string

	mutex   sync.Mutex
	keys    map[string]verifier
	fetched time.Time
	// Used verdicts, until they expire. With several backends, store them in a shared database.
	used map[string]int64
}

const (
	leeway     = 30 * time.Second
	keysAtMost = 1 << 20
	// Time that fetched keys are used, and the minimum time between two fetches for unknown keys.
	keysMaxAge = 10 * time.Minute
	refetch    = 30 * time.Second
)

// Refused says why a verdict does not prove what it should. Any other error means that the keys
// can't be fetched.
type Refused string

func (r Refused) Error() string { return string(r) }

// Accept returns the claims of a verdict that this user passed for this nonce. It accepts it once.
func (c *Checker) Accept(verdict, userIssuer, user, nonce string) (*Claims, error) {
	claims, err := c.Check(verdict, userIssuer, user, nonce)
	switch {
	case err != nil:
		return nil, err
	case !claims.Liveness.Passed:
		return nil, Refused("not passed")
	case claims.ID == "" || !c.first(claims, time.Now().Add(-leeway).Unix()):
		return nil, Refused("used before")
	}
	return claims, nil
}

// Check returns the claims of a genuine verdict about this user and this nonce, passed or not.
func (c *Checker) Check(verdict, userIssuer, user, nonce string) (*Claims, error) {
	parts := strings.Split(verdict, ".")
	if len(parts) != 3 {
		return nil, Refused("not a JWS")
	}
	var header struct {
		Algorithm string   `json:"alg"`
		Type      string   `json:"typ"`
		Key       string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, Refused(err.Error())
	}
	if header.Type != "liveness-verdict+jwt" || header.Critical != nil {
		return nil, Refused("not a verdict")
	}
	key, err := c.key(header.Key)
	if err != nil {
		return nil, err
	}
	if header.Algorithm != key.algorithm {
		return nil, Refused("not the algorithm of its key")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !key.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, Refused("the signature is wrong")
	}
	var claims Claims
	if err := decode(parts[1], &claims); err != nil {
		return nil, Refused(err.Error())
	}
	now := time.Now()
	switch {
	case claims.Issuer != c.Issuer || claims.Audience != c.Audience:
		return nil, Refused("from another gateway, or for another backend")
	case now.Add(-leeway).Unix() >= claims.Expires || now.Add(leeway).Unix() < claims.Issued:
		return nil, Refused("expired, or not valid yet")
	// The user of the backend's own login session, never a name that the frontend sends.
	case claims.UserIssuer != userIssuer || claims.User != user:
		return nil, Refused("about another user")
	// The nonce that this backend made for the transaction which is now to be carried out.
	case claims.Nonce != nonce:
		return nil, Refused("for another transaction")
	}
	return &claims, nil
}

// first reports whether a verdict was never used, and remembers it.
func (c *Checker) first(claims *Claims, now int64) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for id, until := range c.used {
		if until < now {
			delete(c.used, id)
		}
	}
	if _, there := c.used[claims.ID]; there {
		return false
	}
	c.used[claims.ID] = claims.Expires
	return true
}

func (c *Checker) key(id string) (verifier, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	key, known := c.keys[id]
	if age := time.Since(c.fetched); age > keysMaxAge || !known && age > refetch {
		if err := c.fetch(); err != nil {
			return verifier{}, err
		}
		c.fetched = time.Now()
		key, known = c.keys[id]
	}
	if !known {
		return verifier{}, Refused("signed with an unknown key")
	}
	return key, nil
}

func (c *Checker) fetch() error {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(c.URL)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the key set answers %s", answer.Status)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, keysAtMost)).Decode(&set); err != nil {
		return err
	}
	keys := map[string]verifier{}
	for _, key := range set.Keys {
		if verifier, ok := key.verifier(); ok {
			keys[key.ID] = verifier
		}
	}
	c.keys = keys
	return nil
}

// jwk is a member of the key set.
type jwk struct {
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	ID    string `json:"kid"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// verifier returns what checks the signatures of a key, if it is of a kind that signs verdicts.
func (k *jwk) verifier() (verifier, bool) {
	x, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil || len(x) != 32 {
		return verifier{}, false
	}
	switch k.Type + " " + k.Curve {
	case "OKP Ed25519":
		return verifier{"EdDSA", func(signed, signature []byte) bool {
			return ed25519.Verify(x, signed, signature)
		}}, true
	case "EC P-256":
		y, err := base64.RawURLEncoding.DecodeString(k.Y)
		key := ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if err != nil || !key.Curve.IsOnCurve(key.X, key.Y) {
			return verifier{}, false
		}
		return verifier{"ES256", func(signed, signature []byte) bool {
			// Two numbers of 32 bytes each (RFC 7518 section 3.4), not ASN.1.
			if len(signature) != 64 {
				return false
			}
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			digest := sha256.Sum256(signed)
			return ecdsa.Verify(&key, digest[:], r, s)
		}}, true
	}
	return verifier{}, false
}

func decode(part string, into interface{}) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(into)
}
