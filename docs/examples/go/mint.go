// Mints the tokens of a backend that is its own issuer, and publishes the key that verifies them.
// The type of the key decides the algorithm: Ed25519 EdDSA, P-256 ES256, RSA RS256; a secret in its
// place, HS256. It needs only Go's standard library, and never publishes a secret.

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"time"
)

// Lifetime is how long a token is valid.
const Lifetime = 10 * time.Minute

// Minter is the issuer of this app's tokens. It has a key or a secret.
type Minter struct {
	Issuer, Audience string
	Secret           []byte

	key       crypto.Signer
	algorithm string
	id        string
}

// ReadKey takes a private key in PKCS#8 PEM.
func (m *Minter) ReadKey(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("not a PEM file")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		m.key, m.algorithm = key, "EdDSA"
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return errors.New("not on P-256")
		}
		m.key, m.algorithm = key, "ES256"
	case *rsa.PrivateKey:
		m.key, m.algorithm = key, "RS256"
	default:
		return errors.New("not a key that signs")
	}
	// Any text that no other key has: here a hash of the public key.
	der, err := x509.MarshalPKIXPublicKey(m.key.Public())
	digest := sha256.Sum256(der)
	m.id = base64.RawURLEncoding.EncodeToString(digest[:])
	return err
}

// Mint returns a token with which this user makes the liveness check of one transaction.
func (m *Minter) Mint(user, transaction string) (string, error) {
	header := map[string]string{"alg": "HS256", "typ": "JWT"}
	if m.key != nil {
		header = map[string]string{"alg": m.algorithm, "typ": "JWT", "kid": m.id}
	}
	now := time.Now()
	claims := map[string]interface{}{
		"iss":   m.Issuer,
		"aud":   m.Audience,
		"sub":   user,
		"iat":   now.Unix(),
		"exp":   now.Add(Lifetime).Unix(),
		"scope": "liveness",
	}
	if transaction != "" {
		claims["txn"] = transaction
	}
	input := encoded(header) + "." + encoded(claims)
	signature, err := m.sign([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func (m *Minter) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch key := m.key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	case *ecdsa.PrivateKey:
		// Two numbers of 32 bytes each (RFC 7518 section 3.4), not ASN.1.
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		return append(fixed(r), fixed(s)...), nil
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	default:
		mac := hmac.New(sha256.New, m.Secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	}
}

// KeySet returns the key set for `jwks_url` or `jwks_file`.
func (m *Minter) KeySet() map[string][]map[string]string {
	text := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kid": m.id, "alg": m.algorithm, "use": "sig"}
	switch key := m.key.(type) {
	case ed25519.PrivateKey:
		jwk["kty"], jwk["crv"] = "OKP", "Ed25519"
		jwk["x"] = text(key.Public().(ed25519.PublicKey))
	case *ecdsa.PrivateKey:
		jwk["kty"], jwk["crv"] = "EC", "P-256"
		jwk["x"], jwk["y"] = text(fixed(key.X)), text(fixed(key.Y))
	case *rsa.PrivateKey:
		jwk["kty"] = "RSA"
		jwk["n"], jwk["e"] = text(key.N.Bytes()), text(big.NewInt(int64(key.E)).Bytes())
	default:
		return map[string][]map[string]string{"keys": {}}
	}
	return map[string][]map[string]string{"keys": {jwk}}
}

func fixed(number *big.Int) []byte {
	return number.FillBytes(make([]byte, 32))
}

// encoded returns a part of a token. A map of texts and numbers can always be encoded.
func encoded(part interface{}) string {
	text, _ := json.Marshal(part)
	return base64.RawURLEncoding.EncodeToString(text)
}
