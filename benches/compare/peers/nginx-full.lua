-- The full job for nginx with Lua: checks the HS256 token, limits each user, signs the request, and
-- removes the pictures from the response.
local cjson = require "cjson.safe"
local ffi = require "ffi"

ffi.cdef [[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *d, size_t n,
                    unsigned char *out, unsigned int *out_len);
]]

cjson.encode_number_precision(14)
pcall(cjson.encode_number_precision, 16)
if cjson.encode_escape_forward_slash then
    cjson.encode_escape_forward_slash(false)
end

-- With READ, only these members go upstream. Without it, every body is forwarded.
local READ = @READ@
local MEMBERS = {
    ["/v2/actionliveness/sessioncode"] = { "min_code_length", "max_code_length" },
    ["/v2/actionliveness/verify"] = { "session_id", "video_base64", "face_field" },
}

local SECRET = "@SECRET@"
local PER_MINUTE = 60000
local digest = ffi.new "unsigned char[64]"

local function hmac_sha256(text)
    ffi.C.HMAC(ffi.C.EVP_sha256(), SECRET, #SECRET, text, #text, digest, nil)
    return ffi.string(digest, 32)
end

local function from_base64url(text)
    text = text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" })
    return ngx.decode_base64(text .. ("="):rep(-#text % 4))
end

-- Compares in constant time.
local function same(a, b)
    if #a ~= #b then
        return false
    end
    local difference = 0
    for i = 1, #a do
        difference = bit.bor(difference, bit.bxor(a:byte(i), b:byte(i)))
    end
    return difference == 0
end

local function user()
    local token = (ngx.var.http_authorization or ""):match "^Bearer (%S+)$"
    local signed, header, payload, signature = (token or ""):match "^((%S-)%.(%S-))%.([%w_-]+)$"
    if not signed then
        return nil
    end
    header = cjson.decode(from_base64url(header) or "")
    if not header or header.alg ~= "HS256" then
        return nil
    end
    if not same(hmac_sha256(signed), from_base64url(signature) or "") then
        return nil
    end
    local claims = cjson.decode(from_base64url(payload) or "")
    if not claims or claims.iss ~= "@ISSUER@" or claims.aud ~= "@AUDIENCE@" then
        return nil
    end
    if type(claims.exp) ~= "number" or claims.exp <= ngx.time() then
        return nil
    end
    return claims.sub
end

local full = {}

function full.access()
    local who = user()
    if not who then
        return ngx.exit(401)
    end
    local used = ngx.shared.limits:incr(who, 1, 0, 60)
    if used and used > PER_MINUTE then
        return ngx.exit(429)
    end
    ngx.req.read_body()
    local body = ngx.req.get_body_data() or ""
    if READ then
        local sent, allowed = cjson.decode(body), MEMBERS[ngx.var.uri]
        if type(sent) ~= "table" or not allowed then
            return ngx.exit(400)
        end
        local kept = {}
        for _, name in ipairs(allowed) do
            kept[name] = sent[name]
        end
        body = cjson.encode(kept)
        ngx.req.set_body_data(body)
    end
    local head = "POST " .. ngx.var.uri .. "\nHost: @UPSTREAM@\nContent-Type: application/json\n\n"
    local text = head .. body
    local sign = ngx.encode_base64(ngx.hmac_sha1("@SECRET_KEY@", text))
    sign = sign:gsub("[+/]", { ["+"] = "-", ["/"] = "_" })
    ngx.req.set_header("Authorization", "Qiniu @ACCESS_KEY@:" .. sign)
    ngx.req.set_header("Content-Type", "application/json")
end

-- Only for responses of the upstream, not for nginx's own errors.
function full.header()
    if ngx.var.upstream_status then
        ngx.header.content_length = nil
    end
end

local function without_pictures(text)
    local answer = cjson.decode(text)
    if type(answer) ~= "table" then
        return "{}"
    end
    local result = answer.result
    if type(result) == "table" then
        if type(result.best_image) == "table" then
            result.best_image.pic = nil
        end
        for _, image in ipairs(result.pic_list or {}) do
            image.pic = nil
        end
    end
    return cjson.encode(answer)
end

function full.body()
    if not ngx.var.upstream_status then
        return
    end
    local pieces = ngx.ctx.pieces
    if not pieces then
        pieces = {}
        ngx.ctx.pieces = pieces
    end
    pieces[#pieces + 1] = ngx.arg[1]
    if ngx.arg[2] then
        ngx.arg[1] = without_pictures(table.concat(pieces))
    else
        ngx.arg[1] = nil
    end
end

return full
