// How a backend verifies a verdict. Reads one verdict per line from standard input and prints the
// result of each. It needs only Go's standard library.
//
//	JWKS_URL=… ISSUER=… AUDIENCE=… USER_ISSUER=… USER_ID=… go run .
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
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
	Liveness   struct {
		Passed bool `json:"passed"`
	} `json:"liveness"`
}

// Checker verifies the verdicts of one gateway.
type Checker struct {
	URL, Issuer, Audience string

	mutex   sync.Mutex
	keys    map[string]ed25519.PublicKey
	fetched time.Time
	// Used verdicts, until they expire. With several backends, store them in a shared database.
	used map[string]int64
}

const (
	leeway     = 30 * time.Second
	keysAtMost = 1 << 20
	// Minimum time between two fetches for unknown keys.
	refetch = 30 * time.Second
)

// Accept returns the claims of a verdict about this user that passed, or an error.
func (c *Checker) Accept(verdict, userIssuer, user string) (*Claims, error) {
	parts := strings.Split(verdict, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a JWS")
	}
	var header struct {
		Algorithm string   `json:"alg"`
		Type      string   `json:"typ"`
		Key       string   `json:"kid"`
		Critical  []string `json:"crit"`
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, err
	}
	if header.Algorithm != "EdDSA" || header.Type != "liveness-verdict+jwt" || header.Critical != nil {
		return nil, errors.New("not a verdict")
	}
	key, err := c.key(header.Key)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("the signature is wrong")
	}
	var claims Claims
	if err := decode(parts[1], &claims); err != nil {
		return nil, err
	}
	now := time.Now()
	switch {
	case claims.Issuer != c.Issuer || claims.Audience != c.Audience:
		return nil, errors.New("from another gateway, or for another backend")
	case now.Add(-leeway).Unix() >= claims.Expires || now.Add(leeway).Unix() < claims.Issued:
		return nil, errors.New("expired, or not valid yet")
	// The user of the backend's own login session, never a name that the frontend sends.
	case claims.UserIssuer != userIssuer || claims.User != user:
		return nil, errors.New("about another user")
	case !claims.Liveness.Passed:
		return nil, errors.New("not passed")
	case claims.ID == "" || !c.first(&claims, now.Add(-leeway).Unix()):
		return nil, errors.New("used before")
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

func (c *Checker) key(id string) (ed25519.PublicKey, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if key, known := c.keys[id]; known {
		return key, nil
	}
	if time.Since(c.fetched) > refetch {
		c.fetched = time.Now()
		if err := c.fetch(); err != nil {
			return nil, err
		}
	}
	if key, known := c.keys[id]; known {
		return key, nil
	}
	return nil, errors.New("signed with an unknown key")
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
		Keys []struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			ID    string `json:"kid"`
			X     string `json:"x"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, keysAtMost)).Decode(&set); err != nil {
		return err
	}
	keys := map[string]ed25519.PublicKey{}
	for _, key := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(key.X)
		if err == nil && key.Type == "OKP" && key.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			keys[key.ID] = x
		}
	}
	c.keys = keys
	return nil
}

func decode(part string, into interface{}) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(into)
}

func main() {
	checker := Checker{
		URL:      os.Getenv("JWKS_URL"),
		Issuer:   os.Getenv("ISSUER"),
		Audience: os.Getenv("AUDIENCE"),
		used:     map[string]int64{},
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		claims, err := checker.Accept(strings.TrimSpace(lines.Text()), os.Getenv("USER_ISSUER"), os.Getenv("USER_ID"))
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println("accepted", claims.ID)
	}
}
